"""What a reference means: the engine's own images by id, all others by the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from controller.catalogue import EngineCatalogue
from events.kernel.errors import OutsideError
from events.manifest import ImagePin
from gitops.pins import Lookup
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
