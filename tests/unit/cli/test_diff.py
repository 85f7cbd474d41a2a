"""`diff`: two recorded versions of an environment, named in every way a person may."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.blobs import FileBlobStore
from events.catalog.environment import DeployRequested, ManifestRendered
from events.catalog.release import ReleaseCompleted, completed_on
from events.manifest import Manifest
from tests.unit.cli.conftest import Call
from tests.unit.controller.test_comparing import web
from tests.unit.projections.views.history import History

REVISIONS = ("a1b2c3d" + "0" * 33, "f1e2d3c" + "0" * 33)


class Recorded:
    """Two versions of `web`, deployed one after the other."""

    def __init__(self, history: History, home: Path) -> None:
        self._history = history
        self._blobs = FileBlobStore(home / "blobs")
        self.old, self.new = web("h1"), web("h2", "web:2", environment={"PORT": "81"})
        self.first = self._deploy(self.old, REVISIONS[0])  # positions 1 to 3
        self.second = self._deploy(self.new, REVISIONS[1])  # 4 to 6

    def _deploy(self, manifest: Manifest, revision: str) -> str:
        self._blobs.put(manifest.encode())
        release = self._history.ids.release_id()
        rendered = ManifestRendered(
            digest=manifest.digest,
            revision=revision,
            version=revision,
            render_key="k",
            inputs={},
            renderer="r",
            services=manifest.service_hashes(),
            images=manifest.images(),
        )
        requested = DeployRequested(
            release=release,
            digest=manifest.digest,
            version=revision,
            revision=revision,
            previous=None,
            trigger="git",
        )
        completed = ReleaseCompleted(
            release=release, digest=manifest.digest, hosts=completed_on(["local"], manifest.digest)
        )
        for event in (rendered, requested, completed):
            self._history.append("environment", event)
        return release


@pytest.fixture
def recorded(history: History, home: Path) -> Recorded:
    return Recorded(history, home)


def test_two_releases_are_compared(call: Call, recorded: Recorded) -> None:
    said = call("diff", "--env", "prod", "--from", recorded.first, "--to", recorded.second)
    assert said.out.splitlines() == [
        (
            f"shop/prod: {recorded.first} {recorded.old.digest[:19]}"
            f" -> {recorded.second} {recorded.new.digest[:19]}"
        ),
        "  local:",
        "    ~ web  image web:1 sha256:111111111111 -> web:2 sha256:222222222222",
        "           environment +PORT",
    ]


@pytest.mark.parametrize("side", ["release", "revision", "digest", "position", "time"])
def test_each_side_is_named_in_any_way(call: Call, recorded: Recorded, side: str) -> None:
    named = {
        "release": (recorded.first, recorded.second),
        "revision": (REVISIONS[0][:7], REVISIONS[1]),
        "digest": (recorded.old.digest[:19], recorded.new.digest),
        "position": ("3", "#6"),
        "time": ("2026-01-02T03:04:09Z", "now"),
    }[side]
    said = call("diff", "--env", "prod", "--from", named[0], "--to", named[1], "--json")
    shown = json.loads(said.out)
    assert (shown["from"]["digest"], shown["to"]["digest"]) == (recorded.old.digest, recorded.new.digest)
    assert [one["service"] for one in shown["services"]] == ["web"]
    assert shown["secrets"] == {"added": [], "changed": [], "removed": []}
    if side == "position":
        assert shown["from"]["at"]["position"] == 3


def test_without_the_other_side_it_is_now(call: Call, recorded: Recorded) -> None:
    lines = call("diff", "--env", "prod", "--from", recorded.second).out.splitlines()
    assert lines[1:] == ["  no difference"]
    before = call("diff", "--env", "prod", "--from", "1", "--to", recorded.first).out.splitlines()
    assert before[0].startswith("shop/prod: nothing deployed as of position 1")
    assert before[2] == "    + web  web:1 sha256:111111111111"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("rel-20200101-000000000", "release-not-found"),
        ("abcdef0", "revision-not-rendered"),
        ("sha256:abcdef0", "manifest-unknown"),
        ("99", "position-unknown"),
        ("2020-01-01", "moment-before-log"),
        ("soon", "moment-unreadable"),
    ],
)
def test_what_is_not_recorded_is_an_error_with_the_next_step(
    call: Call, recorded: Recorded, what: str, code: str
) -> None:
    said = call("diff", "--env", "prod", "--from", what, "--to", recorded.first)
    assert (said.code, said.out) == (1, "")
    assert f"error: {code}:" in said.err
    assert "next: " in said.err


def test_a_release_of_another_environment_is_none_of_this_one(
    call: Call, recorded: Recorded, history: History
) -> None:
    history.environment = "dev"
    other = history.deployed("a")
    said = call("diff", "--env", "prod", "--from", other)
    assert said.code == 1
    assert "it is a Release of shop/dev" in said.err
    assert recorded.first not in said.out


def test_a_version_whose_bytes_are_gone_is_said_to_be(call: Call, recorded: Recorded, home: Path) -> None:
    digest = recorded.old.digest.removeprefix("sha256:")
    for path in (home / "blobs").rglob("*"):
        if path.is_file() and digest.endswith(path.name[-32:]):
            path.unlink()
    said = call("diff", "--env", "prod", "--from", recorded.first)
    assert said.code == 2
    assert "blob-missing" in said.err


def test_a_home_without_a_log_has_nothing_to_compare(call: Call, home: Path) -> None:
    assert call("diff", "--env", "prod", "--from", "1").code == 1
    assert not home.exists()
