"""What `plan` says, on real renders: each change with its reason, and no value of a variable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cli.plan_text import as_text
from controller.plan_filters import Filters
from controller.preview import Baseline, Preview, preview, stand_ins
from events.kernel.errors import UserError
from events.manifest import ImagePin, Manifest
from gitops.manifest import Draft, complete, draft, unpinned
from tests.unit.gitops.trees import tree_of

BASE = """services:
  web:
    image: web:1
    environment: {PORT: "1", SECRET: sesame}
    labels: {team: a}
    networks: [front]
  worker:
    image: worker:1
networks:
  front: {}
"""
ROLES = """project: {name: shop}
hosts: {app: [local], db: [local], gateway: [local]}
services: {db: {role: db}, web: {role: app}, proxy: {role: gateway}}
environments: {prod: {}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def drafted(folder: Path, name: str, compose: str, *, project: str = "") -> Draft:
    files = {
        "stagecraft.yml": project or "project: {name: shop}\nenvironments: {prod: {}}\n",
        "compose.yaml": compose,
    }
    return asyncio.run(draft(tree_of(folder / name, files), environment="prod", version="c1"))


def completed(made: Draft) -> tuple[Manifest, dict[str, ImagePin]]:
    pins = stand_ins(unpinned(made, {}))
    return complete(made, pins), pins


def plan(folder: Path, before: str | None, after: str, *only: str) -> Preview:
    """The plan from one Compose file to another, all images of which are pinned."""
    deployed = None if before is None else completed(drafted(folder, "before", before))[0]
    made = drafted(folder, "after", after)
    pins = completed(made)[1]
    filters = Filters(services=only)
    return preview(made, pins=pins, against=Baseline(manifest=deployed), revision="c1", filters=filters)


def reasons(shown: Preview) -> dict[str, str]:
    return {f"{one.action} {one.service}": one.reason for one in shown.changes}


def test_everything_is_new_at_first(folder: Path) -> None:
    shown = plan(folder, None, BASE)
    assert reasons(shown) == {"create web": "new", "create worker": "new"}
    assert shown.has_changes


def test_nothing_changes_when_nothing_changed(folder: Path) -> None:
    shown = plan(folder, BASE, BASE)
    assert set(reasons(shown)) == {"keep web", "keep worker"}
    assert not shown.has_changes
    assert shown.digest is not None
    assert "nothing changes" in as_text(shown)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("image: web:1", "image: web:2", "image web:1 -> web:2"),
        ('PORT: "1"', 'PORT: "2"', "environment ~PORT"),
        ('PORT: "1", ', "", "environment -PORT"),
        ('PORT: "1"', 'PORT: "1", DEBUG: "1"', "environment +DEBUG"),
        ("SECRET: sesame", "SECRET: other", "environment ~SECRET"),
        ("team: a", "team: b", "labels ~team"),
        ("networks: [front]", "networks: [front]\n    read_only: true", "read_only"),
        (
            "  front: {}",
            "  front: {driver_opts: {com.docker.network.driver.mtu: '1400'}}",
            "the network front is made anew: its options differ",
        ),
    ],
)
def test_the_reason_names_the_field_and_no_value(folder: Path, old: str, new: str, reason: str) -> None:
    assert old in BASE
    shown = plan(folder, BASE, BASE.replace(old, new))
    found = reasons(shown)
    assert reason in found["replace web"]
    assert "keep worker" in found
    text = as_text(shown) + str(shown.as_json())
    assert "sesame" not in text
    assert "other" not in text


def test_a_job_that_runs_again_on_the_way_back_is_foretold(folder: Path) -> None:
    project = "project: {name: shop}\nservices: {job: {job: {on_rollback: true}}}\nenvironments: {prod: {}}\n"
    compose = "services: {job: {image: job:1}, web: {image: web:1, depends_on: {job: {condition: %s}}}}"
    text = compose % "service_completed_successfully"
    made = drafted(folder, "after", text, project=project)
    later = completed(drafted(folder, "before", text.replace("web:1", "web:2"), project=project))[0]
    wanted, pins = completed(made)
    jobs = frozenset({("local", "job", wanted.hosts["local"].services["job"].hash)})
    found = {
        going_back: reasons(
            preview(
                made,
                pins=pins,
                against=Baseline(manifest=later, jobs=jobs, going_back=going_back),
                revision="c1",
            )
        )
        for going_back in (False, True)
    }
    assert found[False]["keep job"] == "succeeded before"
    assert found[True]["run job"] == "this goes back to what ran before, and job.on_rollback is set"


def test_a_service_that_left_is_removed(folder: Path) -> None:
    without = BASE.replace("  worker:\n    image: worker:1\n", "")
    assert reasons(plan(folder, BASE, without))["remove worker"] == "not in the project any more"


def test_an_image_that_was_never_pinned_is_shown_as_written(folder: Path) -> None:
    made = drafted(folder, "after", BASE)
    shown = preview(made, pins={}, revision="c1")
    assert shown.unpinned == ("web:1", "worker:1")
    assert shown.digest is None


def test_an_image_that_means_other_bytes_is_a_change(folder: Path) -> None:
    made = drafted(folder, "after", BASE)
    deployed, pins = completed(made)
    moved = {**pins, "web:1": ImagePin(ref="web:1", pin=f"sha256:{'9' * 64}", pin_kind="image-id")}
    shown = preview(made, pins=moved, against=Baseline(manifest=deployed), revision="c1")
    assert reasons(shown)["replace web"] == "image web:1 means other bytes now"


def test_phases_go_from_data_to_gateway(folder: Path) -> None:
    compose = "services: {web: {image: w}, db: {image: d}, proxy: {image: p}}\n"
    made = drafted(folder, "after", compose, project=ROLES)
    shown = preview(made, pins=completed(made)[1], revision="c1")
    assert [(phase.id, phase.services, phase.depends_on) for phase in shown.phases] == [
        ("DEPLOY_DB", ("db",), ()),
        ("DEPLOY_APP", ("web",), ("DEPLOY_DB",)),
        ("DEPLOY_GATEWAY", ("proxy",), ("DEPLOY_APP",)),
        ("HEALTH_CHECK", ("db", "proxy", "web"), ("DEPLOY_APP", "DEPLOY_DB", "DEPLOY_GATEWAY")),
    ]


def test_a_filter_keeps_the_phases_of_its_services(folder: Path) -> None:
    shown = plan(folder, None, BASE, "worker")
    assert [phase.services for phase in shown.phases] == [("worker",), ("worker",)]
    assert list(reasons(shown)) == ["create worker"]


def test_a_filter_for_an_unknown_service_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        plan(folder, None, BASE, "wbe")
    assert caught.value.code == "service-unknown"
    assert "web, worker" in caught.value.why


def test_no_line_of_the_text_ends_in_a_space(folder: Path) -> None:
    text = as_text(plan(folder, BASE, BASE.replace("web:1", "web:2")))
    assert all(line == line.rstrip() for line in text.splitlines())


VOLUMES = """services:
  web: {image: "web:1", volumes: ["data:/data"], container_name: shop-web}
  side: {image: "side:1", depends_on: {web: {condition: service_started, restart: true}}}
volumes:
  data: {labels: {team: a}}
"""


def test_notes_say_what_a_deploy_refuses_and_whom_it_does_not_restart(folder: Path) -> None:
    shown = plan(folder, VOLUMES, VOLUMES.replace("team: a", "team: b"))
    assert reasons(shown) == {"keep side": "unchanged", "replace web": "options of the volume data"}
    assert [note.partition(";")[0] for note in shown.notes] == [
        "local/side asks to be restarted with web (depends_on, restart: true)",
        "local: the options of the volume data differ",
    ]
    assert [one.causes for one in shown.outages] == [
        ("container_name shop-web", "volume data with one writer"),
    ]
    assert plan(folder, VOLUMES, VOLUMES).notes == ()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("container_name: shop-web", 'container_name: shop-web, ports: ["80:80"]', "ports +80:80/tcp"),
        ("container_name: shop-web", "container_name: shop-web, command: [sh, -c, sesame]", "command"),
        ("container_name: shop-web", "container_name: shop-other", "container_name"),
        ('"data:/data"', '"data:/other"', "volumes +/other -/data"),
        ("container_name: shop-web", "networks: [back]", "container_name; networks +back -default"),
        ("web:1", f"web:1@sha256:{'7' * 64}", f"image web:1 -> web:1@sha256:{'7' * 12}"),
    ],
)
def test_each_kind_of_difference_is_told(folder: Path, old: str, new: str, reason: str) -> None:
    assert old in VOLUMES
    shown = plan(folder, VOLUMES, VOLUMES.replace(old, new) + "networks: {back: {}}\n")
    assert reasons(shown)["replace web"] == reason
    assert "sesame" not in as_text(shown)


def test_another_compose_project_leaves_what_runs_under_the_old_one(folder: Path) -> None:
    project = "project: {name: shop}\nenvironments: {prod: {compose_project: other}}\n"
    deployed = completed(drafted(folder, "before", BASE))[0]
    made = drafted(folder, "after", BASE, project=project)
    shown = preview(made, pins=completed(made)[1], against=Baseline(manifest=deployed), revision="c1")
    assert reasons(shown) == {"create web": "new", "create worker": "new"}
    assert shown.notes[0].startswith("the Compose project was shop-prod and is other now")
