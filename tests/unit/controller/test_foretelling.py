"""`plan` names beforehand every container that a deploy then exchanges, and no other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.made_with import stale_services
from controller.preview import Baseline, Preview, preview
from events.catalog import decode
from events.catalog.service import ServiceReplaced
from events.manifest import ImagePin, Manifest
from gitops.manifest import complete
from projections.converge.converger import Converger
from projections.converge.plan import JobKey
from projections.engine.simulated_world import Life
from tests.support.examples import examples
from tests.unit.controller.apps import IMAGES, JOB_IMAGES, App, Part, apps, draft_of
from tests.unit.projections.converge.scene import HOST, Scene, image_id

KEY = b"k" * 32
ALL_IMAGES = (*IMAGES, *JOB_IMAGES)
PINS = {ref: ImagePin(ref=ref, pin=image_id(ref), pin_kind="image-id") for ref in ALL_IMAGES}
Ids = Mapping[str, frozenset[str]]


class Story:
    """One environment through several deploys, each foretold."""

    def __init__(self, root: Path) -> None:
        self.scene = Scene(root=root)
        self.scene.have(*ALL_IMAGES)
        self.scene.engine.world.lives.update({image_id(ref): Life(exits_after=0.1) for ref in JOB_IMAGES})
        self.env = root / "platform.env"
        self.deployed: Manifest | None = None
        self.jobs: frozenset[JobKey] = frozenset()
        self.releases: list[str] = []

    def foretold(self, app: App) -> tuple[Preview, Manifest]:
        """What `plan` says of an edit, with the env file of the host as it is now."""
        self.env.write_text(f"TOKEN={app.env}\n")
        made = draft_of(app, blobs=self.scene.blobs, env_path=str(self.env))
        wanted = complete(made, PINS)
        stale = stale_services(self.scene.log, wanted, releases=self.releases, key=KEY)
        baseline = Baseline(manifest=self.deployed, jobs=self.jobs, stale=stale)
        return preview(made, pins=PINS, revision="c1", against=baseline), wanted

    def exchanges(self, since: int) -> dict[str, str | None]:
        """How each service was exchanged by the events after so many."""
        found = [decode(one) for one in self.scene.log.read()[since:]]
        return {
            one.service: one.rollout
            for one in found
            if isinstance(one, ServiceReplaced) and one.rollout and one.new_ids
        }

    def deploy(self, wanted: Manifest) -> None:
        """Deploy it; it completes."""
        scene = self.scene
        equipment = scene.equipment
        converger = Converger(
            log=scene.log,
            blobs=scene.blobs,
            engines=equipment.engines,
            roots=equipment.roots,
            observed=scene.observed,
            clock=scene.clock,
            binding_key=KEY,
        )
        work = scene.work(wanted, self.deployed)
        verdict = asyncio.run(converger.run_release(work, recorder=scene.recorder()))
        assert verdict.status == "completed", verdict
        self.deployed = wanted
        self.releases.append(work.release)
        self.jobs = scene.work(wanted, wanted).succeeded_jobs

    def ids(self) -> dict[str, frozenset[str]]:
        """The containers by service, runs of jobs left out."""
        found: dict[str, set[str]] = {}
        for one in self.scene.engine.world.containers.values():
            if not one.one_off:
                found.setdefault(one.labels["com.docker.compose.service"], set()).add(one.id)
        return {name: frozenset(ids) for name, ids in found.items()}

    def signals(self) -> dict[str, int]:
        """How many signals the containers got so far, by id."""
        return {one.id: len(one.signals) for one in self.scene.engine.world.containers.values()}

    def ran(self) -> list[str]:
        """The runs of jobs so far."""
        return [name for call, name in self.scene.engine.calls if call == "run_job"]


def happened(before: Ids, after: Ids) -> dict[str, str]:
    """What became of the containers of each service, by their ids alone."""
    found: dict[str, str] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name, frozenset()), after.get(name, frozenset())
        if old == new:
            continue
        if not old - new:
            found[name] = "create"
        elif not new - old:
            found[name] = "remove"
        else:
            found[name] = "replace" if not old & new else "replace some"
    return found


def signalled(story: Story, before: Mapping[str, int]) -> dict[str, int]:
    """How many containers of each service got just one signal since; more than one is an error."""
    counts = {key: number - before.get(key, 0) for key, number in story.signals().items()}
    assert set(counts.values()) <= {0, 1}
    ids = story.ids()
    found = {name: sum(counts[one] for one in containers) for name, containers in ids.items()}
    return {name: number for name, number in found.items() if number}


def check(story: Story, app: App) -> Preview:
    """Foretell, deploy, compare."""
    shown, wanted = story.foretold(app)
    before, ran, signals = story.ids(), len(story.ran()), story.signals()
    events = len(story.scene.log.read())
    story.deploy(wanted)
    told = {one.service: one.action for one in shown.changes if one.action not in ("keep", "run", "reload")}
    assert happened(before, story.ids()) == told
    reloads = [one for one in shown.changes if one.action == "reload"]
    assert signalled(story, signals) == {one.service: one.containers for one in reloads}
    assert all(one.signal == "SIGHUP" for one in reloads)
    assert sorted(story.ran()[ran:]) == sorted(one.service for one in shown.changes if one.action == "run")
    strategies = {one.service: one.strategy for one in shown.changes if one.action == "replace"}
    assert story.exchanges(events) == strategies
    assert [(one.host, one.service) for one in shown.outages] == [
        (HOST, name) for name, strategy in sorted(strategies.items()) if strategy == "stop-first"
    ]
    again, _ = story.foretold(app)
    assert not again.has_changes
    return shown


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    max_examples=examples(steady=12, search=150),
)
@given(st.data())
def test_a_plan_names_what_a_deploy_exchanges_and_nothing_else(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        app: App | None = None
        for _ in range(4):
            app = data.draw(apps(app))
            check(story, app)


WEB = Part(replicas=1)
EDITS: Mapping[str, tuple[Mapping[str, Part], Mapping[str, Part], Mapping[str, str]]] = {
    "nothing": ({"a": WEB}, {"a": WEB}, {}),
    "an image": ({"a": WEB, "b": WEB}, {"a": Part(image=IMAGES[1]), "b": WEB}, {"a": "replace"}),
    "more replicas": ({"a": WEB}, {"a": Part(replicas=3)}, {"a": "create"}),
    "fewer replicas": ({"a": Part(replicas=3)}, {"a": WEB}, {"a": "remove"}),
    "fewer and other ones": (
        {"a": Part(replicas=3)},
        {"a": Part(replicas=1, variable="2")},
        {"a": "replace"},
    ),
    "none and other ones": (
        {"a": WEB, "b": WEB},
        {"a": Part(replicas=0, variable="2"), "b": WEB},
        {"a": "remove"},
    ),
    "a home": (
        {"a": WEB, "b": Part(inside=("network_mode", "a"), network=False)},
        {"a": Part(variable="2"), "b": Part(inside=("network_mode", "a"), network=False)},
        {"a": "replace", "b": "replace"},
    ),
    "a home of a home": (
        {"a": WEB, "b": Part(inside=("ipc", "a")), "c": Part(inside=("volumes_from", "b")), "d": WEB},
        {
            "a": Part(variable="2"),
            "b": Part(inside=("ipc", "a")),
            "c": Part(inside=("volumes_from", "b")),
            "d": WEB,
        },
        {"a": "replace", "b": "replace", "c": "replace"},
    ),
    "one more home": (
        {"a": WEB, "b": Part(inside=("pid", "a"))},
        {"a": Part(replicas=2), "b": Part(inside=("pid", "a"))},
        {"a": "create"},
    ),
    "one home less": (
        {"a": Part(replicas=2), "b": Part(inside=("pid", "a"))},
        {"a": WEB, "b": Part(inside=("pid", "a"))},
        {"a": "remove"},
    ),
    "a home, and fewer in it": (
        {"a": WEB, "b": Part(inside=("ipc", "a"), replicas=3)},
        {"a": Part(variable="2"), "b": Part(inside=("ipc", "a"), replicas=2)},
        {"a": "replace", "b": "replace"},
    ),
    "a home, and more in it": (
        {"a": WEB, "b": Part(inside=("ipc", "a"), replicas=1)},
        {"a": Part(variable="2"), "b": Part(inside=("ipc", "a"), replicas=2)},
        {"a": "replace", "b": "replace"},
    ),
    "a file that is told of": (
        {"a": Part(file="one", reload=True, replicas=2), "b": WEB},
        {"a": Part(file="two", reload=True, replicas=2), "b": WEB},
        {"a": "reload"},
    ),
    "a file that is told of, and a variable": (
        {"a": Part(file="one", reload=True)},
        {"a": Part(file="two", reload=True, variable="2")},
        {"a": "replace"},
    ),
    "a file that is told of from now on": (
        {"a": Part(file="one")},
        {"a": Part(file="two", reload=True)},
        {"a": "replace"},
    ),
    "a file that is told of, in a home that is replaced": (
        {"a": WEB, "b": Part(inside=("ipc", "a"), file="one", reload=True)},
        {"a": Part(variable="2"), "b": Part(inside=("ipc", "a"), file="two", reload=True)},
        {"a": "replace", "b": "replace"},
    ),
    "a home that is told of a file": (
        {"a": Part(file="one", reload=True), "b": Part(inside=("ipc", "a"))},
        {"a": Part(file="two", reload=True), "b": Part(inside=("ipc", "a"))},
        {"a": "reload"},
    ),
    "a job with a file": (
        {"a": WEB, "b": Part(image=JOB_IMAGES[0], job=True, file="one", reload=True)},
        {"a": WEB, "b": Part(image=JOB_IMAGES[0], job=True, file="two", reload=True)},
        {},
    ),
    "a service gone": ({"a": WEB, "b": WEB}, {"a": WEB}, {"b": "remove"}),
    "a service that is a job now": (
        {"a": WEB, "b": WEB},
        {"a": WEB, "b": Part(image=JOB_IMAGES[0], job=True)},
        {"b": "remove"},
    ),
    "a job that is a service now": (
        {"a": WEB, "b": Part(image=JOB_IMAGES[0], job=True)},
        {"a": WEB, "b": WEB},
        {"b": "create"},
    ),
    "another job": (
        {"a": Part(waits=("j",)), "j": Part(image=JOB_IMAGES[0], job=True)},
        {"a": Part(waits=("j",)), "j": Part(image=JOB_IMAGES[1], job=True)},
        {},
    ),
    "another order": ({"a": WEB, "b": WEB}, {"a": WEB, "b": Part(waits=("a",))}, {}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_exchanges_what_was_foretold(edit: str, tmp_path: Path) -> None:
    before, after, told = EDITS[edit]
    story = Story(tmp_path)
    check(story, App(parts=before))
    shown = check(story, App(parts=after))
    touched = {one.service: one.action for one in shown.changes if one.action not in ("keep", "run")}
    assert touched == told


def test_replicas_join_after_a_replacement_without_moving_who_lives_there(tmp_path: Path) -> None:
    inside = Part(inside=("network_mode", "a"), network=False)
    story = Story(tmp_path)
    for home in (WEB, Part(variable="2")):
        check(story, App(parts={"a": home, "b": inside}))
    shown = check(story, App(parts={"a": Part(variable="2", replicas=3), "b": inside}))
    assert [(one.service, one.action) for one in shown.changes] == [("a", "create"), ("b", "keep")]


def test_other_options_of_a_network_replace_all_on_it_and_who_lives_in_them(tmp_path: Path) -> None:
    app = {"a": WEB, "b": Part(inside=("network_mode", "a"), network=False), "c": Part(network=False)}
    story = Story(tmp_path)
    check(story, App(parts=app))
    shown = check(story, App(parts=app, mtu=1400))
    assert {one.service: one.reason for one in shown.changes} == {
        "a": "the network front is made anew: its options differ",
        "b": "shares with a",
        "c": "unchanged",
    }


def test_a_changed_env_file_of_the_host_replaces_who_takes_it(tmp_path: Path) -> None:
    app = {"a": Part(host_env=True), "b": Part(inside=("ipc", "a")), "c": WEB}
    story = Story(tmp_path)
    check(story, App(parts=app))
    shown = check(story, App(parts=app, env="other"))
    assert {one.service: one.reason for one in shown.changes} == {
        "a": f"env file {story.env} of the host changed",
        "b": "shares with a",
        "c": "unchanged",
    }
    assert "other" not in str(shown.as_json())


def test_a_changed_variable_of_the_host_replaces_who_refers_to_it(tmp_path: Path) -> None:
    app = {"a": Part(refers=True), "b": Part(refers=True, host_env=True), "c": WEB}
    story = Story(tmp_path)
    check(story, App(parts=app))
    shown = check(story, App(parts=app, env="other"))
    variable, file = (
        f"TOKEN in {story.env} of the host changed",
        f"env file {story.env} of the host changed",
    )
    assert {one.service: one.reason for one in shown.changes} == {
        "a": variable,
        "b": f"{file}; {variable}",
        "c": "unchanged",
    }
    assert "other" not in str(shown.as_json())


def test_an_env_file_that_cannot_be_read_is_no_reason(tmp_path: Path) -> None:
    app = App(parts={"a": Part(host_env=True)})
    story = Story(tmp_path)
    check(story, app)
    story.foretold(app)
    story.env.unlink()
    made = draft_of(app, blobs=story.scene.blobs, env_path=str(story.env))
    wanted = complete(made, PINS)
    assert stale_services(story.scene.log, wanted, releases=story.releases, key=KEY) == {HOST: {}}


def test_a_mounted_file_is_named_by_its_path_in_the_repository(tmp_path: Path) -> None:
    story = Story(tmp_path)
    check(story, App(parts={"a": Part(file="one"), "b": WEB}))
    shown = check(story, App(parts={"a": Part(file="two"), "b": WEB}))
    assert {one.service: one.reason for one in shown.changes} == {"a": "file ~conf/a.conf", "b": "unchanged"}


def test_more_replicas_and_another_file_are_told_apart(tmp_path: Path) -> None:
    story = Story(tmp_path)
    check(story, App(parts={"a": Part(file="one", reload=True)}))
    shown = check(story, App(parts={"a": Part(file="two", reload=True, replicas=3)}))
    assert [(one.action, one.reason, one.containers) for one in shown.changes] == [
        ("create", "replicas 1 -> 3", 0),
        ("reload", "file ~conf/a.conf", 1),
    ]
    assert shown.as_json()["changes"][1]["signal"] == "SIGHUP"
    assert "signal" not in shown.as_json()["changes"][0]
