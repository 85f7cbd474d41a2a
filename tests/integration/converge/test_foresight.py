"""What is foretold is what a real engine and Compose then do, on a sample of edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from events.manifest import Job, Manifest
from projections.converge.foresight import Known, foretell
from projections.converge.plan import JobKey
from tests.integration.converge.conftest import Spec, Stage


def test_a_real_engine_exchanges_what_was_foretold_and_nothing_else(stage: Stage) -> None:
    one, two = stage.images.web("v1"), stage.images.web("v2")
    job = Spec(image=stage.images.job(), job=Job())
    base = {
        "home": Spec(image=one),
        "inside": Spec(image=one, more={"pid": "service:home"}),
        "deeper": Spec(image=one, more={"volumes_from": ["inside"], "network_mode": "none"}),
        "apart": Spec(image=one, more={"container_name": f"{stage.project.name}-apart"}),
        "migrate": job,
    }
    moved = {**base, "home": Spec(image=two)}
    left = {"home": Spec(image=two), "apart": _variable(base["apart"])}
    story: tuple[tuple[dict[str, Spec], int, dict[str, str]], ...] = (
        (base, 1, dict.fromkeys(("home", "inside", "deeper", "apart"), "create")),
        (base, 2, {"home": "create"}),
        (base, 1, {"home": "remove"}),
        (moved, 1, dict.fromkeys(("home", "inside", "deeper"), "replace")),
        ({**moved, "inside": _variable(base["inside"])}, 1, {"inside": "replace", "deeper": "replace"}),
        (left, 1, {"apart": "replace", "inside": "remove", "deeper": "remove"}),
        ({**left, "migrate": job}, 3, {"home": "create"}),
    )
    deployed: Manifest | None = None
    jobs: frozenset[JobKey] = frozenset()
    for specs, homes, expected in story:
        wanted = stage.manifest(specs)
        wanted.hosts["local"].compose["services"]["home"]["scale"] = homes  # no part of a service's hash
        assert foretold(wanted, deployed, jobs) == expected
        before = stage.project.ids()
        verdict = stage.deploy(wanted, deployed)
        assert verdict.status == "completed", verdict.failure
        assert happened(before, stage.project.ids()) == expected
        deployed = wanted
        jobs |= {("local", name, one.hash) for name, one in wanted.hosts["local"].services.items() if one.job}


def _variable(spec: Spec) -> Spec:
    more: dict[str, Any] = {**spec.more, "environment": {"COLOUR": "red"}}
    return replace(spec, more=more)


def foretold(wanted: Manifest, deployed: Manifest | None, jobs: frozenset[JobKey]) -> dict[str, str]:
    plan = foretell(wanted, deployed, Known(succeeded_jobs=jobs))["local"]
    return {one.service: one.kind for one in plan.operations if one.kind not in ("keep", "run_job")}


def happened(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> dict[str, str]:
    """What became of the containers of each service, by their ids alone."""
    found: dict[str, str] = {}
    for name in sorted({*before, *after}):
        old, new = set(before.get(name, ())), set(after.get(name, ()))
        if old != new:
            found[name] = "create" if not old - new else "remove" if not new - old else "replace"
    return found
