"""Images and their registries as every engine sees them."""

from __future__ import annotations

import asyncio

from events.kernel.errors import OutsideError
from projections.engine.errors import ENGINE_REFUSED, REGISTRY_UNREACHABLE
from tests.contract.engines import GONE, Adapter, raised


def test_an_image_has_one_id_under_tag_id_and_new_tag(adapter: Adapter) -> None:
    async def run() -> None:
        image = await adapter.engine.image(adapter.steady)
        assert image is not None
        assert image.id == adapter.steady_id
        assert await adapter.engine.image(image.id) == image
        repository = adapter.steady.rpartition(":")[0]
        await adapter.engine.tag(image.id, f"{repository}:kept")
        kept = await adapter.engine.image(f"{repository}:kept")
        assert kept is not None
        assert kept.id == image.id
        assert await adapter.engine.image(adapter.absent) is None
        error = await raised(OutsideError, adapter.engine.tag(f"sha256:{GONE}", f"{repository}:lost"))
        assert error.code == ENGINE_REFUSED

    asyncio.run(run())


def test_an_image_whose_registry_is_away_can_neither_be_asked_for_nor_pulled(adapter: Adapter) -> None:
    async def run() -> None:
        for call in (adapter.engine.registry_digest, adapter.engine.pull):
            error = await raised(OutsideError, call(adapter.absent))
            assert error.code == REGISTRY_UNREACHABLE
            assert adapter.absent in error.message
            assert "refused" in error.why

    asyncio.run(run())


def test_an_image_leaves_as_an_archive_and_comes_back_as_it_was(adapter: Adapter) -> None:
    archive: list[bytes] = []

    def take(piece: bytes) -> bool:
        archive.append(piece)
        return True

    async def run() -> None:
        carrier, before = adapter.carrier, await adapter.engine.image(adapter.steady)
        assert before is not None
        await carrier.save(before.id, take)
        await carrier.load(iter(archive))
        assert await adapter.engine.image(before.id) is not None
        refused = await raised(OutsideError, carrier.load(iter([b"no archive at all"])))
        assert refused.code == ENGINE_REFUSED
        unknown = await raised(OutsideError, carrier.save("sha256:" + "0" * 64, take))
        assert unknown.code == ENGINE_REFUSED

    asyncio.run(run())


def test_an_archive_that_nobody_wants_more_of_is_not_read_on(adapter: Adapter) -> None:
    pieces: list[bytes] = []

    def take(piece: bytes) -> bool:
        pieces.append(piece)
        return False

    asyncio.run(adapter.carrier.save(adapter.steady, take))
    assert len(pieces) == 1
