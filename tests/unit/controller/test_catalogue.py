"""What a reference means: the engine's own images by id, all others by the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from controller.catalogue import IMAGE_PLATFORM_MISSING, EngineCatalogue
from controller.registry.client import Found
from events.kernel.errors import OutsideError
from events.manifest import ImagePin
from gitops.pins import Lookup
from projections.engine.errors import IMAGE_NOT_FOUND
from projections.engine.registry import no_answer
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import World
from tests.support.time import FakeClock

ID, DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def engine_with(images: Mapping[str, str], digests: Mapping[str, tuple[str, ...]]) -> SimulatedEngine:
    """An engine whose images may have come from a registry; `digests` by reference."""
    by_id = {images[ref]: list(found) for ref, found in digests.items()}
    return SimulatedEngine(clock=FakeClock(), world=World(images=dict(images), repo_digests=by_id))


def resolve(engine: SimulatedEngine, ref: str, *, pull_policy: str | None = None) -> ImagePin:
    return asyncio.run(EngineCatalogue(engine).resolve(ref, Lookup(pull_policy=pull_policy)))


def test_an_image_made_on_the_host_is_pinned_by_id_without_asking_a_registry() -> None:
    engine = engine_with({"web:1": ID}, {})
    assert resolve(engine, "web:1") == ImagePin(ref="web:1", pin=ID, pin_kind="image-id")
    assert engine.count("registry_digest") == 0


def test_the_registry_decides_although_the_engine_has_a_copy() -> None:
    engine = engine_with({"reg:5000/web:1": ID}, {"reg:5000/web:1": (f"reg:5000/web@{ID}",)})
    engine.world.registry["reg:5000/web:1"] = DIGEST
    assert resolve(engine, "reg:5000/web:1") == ImagePin(
        ref="reg:5000/web:1", pin=DIGEST, pin_kind="repo-digest"
    )


def test_an_image_that_was_pulled_from_elsewhere_and_tagged_here_counts_as_made_here() -> None:
    engine = engine_with({"web:1": ID}, {"web:1": (f"reg:5000/other@{DIGEST}",)})
    assert resolve(engine, "web:1").pin_kind == "image-id"


@pytest.mark.parametrize("ref", ["nginx", "nginx:1", "docker.io/nginx:1", "docker.io/library/nginx:1"])
def test_all_names_of_one_public_repository_are_one(ref: str) -> None:
    engine = engine_with({ref: ID}, {ref: (f"nginx@{DIGEST}",)})
    engine.world.registry[ref] = DIGEST
    assert resolve(engine, ref).pin_kind == "repo-digest"


def test_pull_policy_never_takes_what_the_engine_has() -> None:
    engine = engine_with({"nginx:1": ID}, {"nginx:1": (f"nginx@{DIGEST}",)})
    assert resolve(engine, "nginx:1", pull_policy="never").pin == ID


def test_pull_policy_never_and_no_image_is_not_found() -> None:
    with pytest.raises(OutsideError) as caught:
        resolve(engine_with({}, {}), "nginx:1", pull_policy="never")
    assert caught.value.code == "image-not-found"


def test_what_is_pinned_and_here_gets_a_tag_of_ours() -> None:
    engine = engine_with({"web:1": ID}, {})
    pin = ImagePin(ref="web:1", pin=ID, pin_kind="image-id")
    asyncio.run(EngineCatalogue(engine).keep(pin, project="shop", service="web"))
    assert engine.world.images["stagecraft.local/shop/web:1111111111111111"] == ID


def test_what_is_not_here_yet_gets_no_tag() -> None:
    engine = engine_with({}, {})
    pin = ImagePin(ref="reg:5000/web:1", pin=DIGEST, pin_kind="repo-digest")
    asyncio.run(EngineCatalogue(engine).keep(pin, project="shop", service="web"))
    assert engine.world.images == {}


@dataclass
class Registries:
    """Stands for the client of registries: says what a test lets it say."""

    found: Found | None = None
    error: OutsideError | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    async def find(self, ref: str, *, known: str | None = None) -> Found:
        self.asked.append((ref, known))
        if self.error is not None:
            raise self.error
        assert self.found is not None
        return self.found


REF = "reg.example/web:1"


def catalogue(engine: SimulatedEngine, registries: Registries) -> EngineCatalogue:
    return EngineCatalogue(engine, registries)


def test_the_registry_is_asked_before_the_engine_asks_it() -> None:
    engine = engine_with({}, {})
    registries = Registries(found=Found(digest=DIGEST, platforms=()))
    pin = asyncio.run(catalogue(engine, registries).resolve(REF, Lookup(), known=ID))
    assert pin == ImagePin(ref=REF, pin=DIGEST, pin_kind="repo-digest")
    assert registries.asked == [(REF, ID)]
    assert engine.count("registry_digest") == 0


def test_where_we_get_no_answer_the_engine_may_get_one() -> None:
    engine = engine_with({}, {})
    engine.world.registry[REF] = DIGEST
    registries = Registries(error=no_answer(REF, "certificate verify failed"))
    assert asyncio.run(catalogue(engine, registries).resolve(REF, Lookup())).pin == DIGEST


def test_an_image_that_the_registry_does_not_have_is_not_asked_for_twice() -> None:
    engine = engine_with({}, {})
    engine.world.registry[REF] = DIGEST
    registries = Registries(error=OutsideError(IMAGE_NOT_FOUND, "no such image"))
    with pytest.raises(OutsideError) as caught:
        asyncio.run(catalogue(engine, registries).resolve(REF, Lookup()))
    assert caught.value.code == IMAGE_NOT_FOUND
    assert engine.count("registry_digest") == 0


@pytest.mark.parametrize(
    ("asked", "there", "refused"),
    [
        (frozenset[str](), ("linux/arm64",), True),
        (frozenset[str](), ("linux/amd64", "linux/arm64"), False),
        (frozenset({"linux/arm64"}), ("linux/arm64",), False),
        (frozenset({"linux/arm64"}), ("linux/amd64",), True),
        (frozenset[str](), (), False),
    ],
)
def test_a_platform_that_is_not_there_is_refused_with_those_that_are(
    asked: frozenset[str], there: tuple[str, ...], *, refused: bool
) -> None:
    engine = engine_with({}, {})
    engine.world.identity = replace(engine.world.identity, platform="linux/amd64")
    registries = Registries(found=Found(digest=DIGEST, platforms=there))
    resolving = catalogue(engine, registries).resolve(REF, Lookup(platforms=asked))
    if not refused:
        assert asyncio.run(resolving).pin == DIGEST
        return
    with pytest.raises(OutsideError) as caught:
        asyncio.run(resolving)
    assert caught.value.code == IMAGE_PLATFORM_MISSING
    assert caught.value.why == f"it is there for {there[0]}"


def test_an_engine_that_does_not_answer_is_not_one_without_images() -> None:
    engine = engine_with({}, {})
    engine.world.reachable = False
    registries = Registries(found=Found(digest=DIGEST, platforms=()))
    with pytest.raises(OutsideError) as caught:
        asyncio.run(catalogue(engine, registries).resolve("web:1", Lookup()))
    assert caught.value.code == "engine-unreachable"
    assert registries.asked == []
