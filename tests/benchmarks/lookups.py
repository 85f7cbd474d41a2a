"""How often a registry is asked for a commit whose services share their images."""

from __future__ import annotations

from tests.benchmarks.figures import Figure
from tests.benchmarks.stage import Place, Stage
from tests.support.registry import Registry, running_registry

SERVICES_OF_AN_IMAGE = 5
TARGET = 1.0


def measure(stage: Stage) -> list[Figure]:
    """All services of all images in one render, none of which is known."""
    images = stage.count(full=10, quick=2)
    with stage.place("lookups") as place:
        folder = place.folder / "registry"
        folder.mkdir()
        with running_registry(folder) as registry:
            try:
                return [_figure(stage, place, registry, images)]
            finally:
                registry.forget(stage.engine)


def _figure(stage: Stage, place: Place, registry: Registry, images: int) -> Figure:
    one = stage.images.web("v0")
    refs = [registry.push(stage.engine, one, f"app{number}", "v1") for number in range(images)]
    registry.forget(stage.engine)
    services = "".join(
        f"  s{number}: {{image: '{refs[number % images]}'}}\n"
        for number in range(images * SERVICES_OF_AN_IMAGE)
    )
    place.commit(f"services:\n{services}")
    before = len(registry.looked_up())
    place.cli.run("config", "render", "--env", "prod", "--json", cwd=place.repository.work).expect(0)
    asked = registry.looked_up()[before:]
    assert {f"app{number}:v1" for number in range(images)} == set(asked)
    return Figure(
        what="Registry look-ups for each distinct image of a commit",
        value=len(asked) / images,
        target=TARGET,
        unit=" x",
        detail=f"{images * SERVICES_OF_AN_IMAGE} services of {images} images; {len(asked)} tags asked for",
    )
