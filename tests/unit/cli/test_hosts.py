"""`stagecraft hosts`: what is listed without asking, and what is asked."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from events.catalog.host import HostDeclared, HostReached, HostUnreachable
from events.envelope import CONTROLLER
from events.recorder import Recorder
from events.sqlite import SqliteEventLog
from events.streams import host_stream
from projections.observed import HostAnswer, ObservedStore
from tests.support.scripted_host import Programs
from tests.support.time import CountingIds, FakeClock
from tests.unit.cli.conftest import Call

LISTED = """\
network:
  static:
    hosts:
      app-1: {address: 10.0.0.1, user: deploy}
ssh: {known_hosts: known}
"""


@pytest.fixture
def operator(home: Path) -> Path:
    home.mkdir()
    path = home / "controller.yml"
    path.write_text(LISTED)
    return path


@pytest.fixture
def told(home: Path, operator: Path) -> None:
    """Two hosts by Git, of which one is the operator's too; one answered, the other does not."""
    del operator
    log = SqliteEventLog(home / "events.db")
    recorder = Recorder(log=log, ids=CountingIds(), clock=FakeClock(), actor=CONTROLLER)
    for host, address in (("app-1", "10.0.0.9"), ("db-1", "10.0.0.3")):
        event = HostDeclared(
            host=host, address=address, port=22, origin="git", project="shop", environment="prod"
        )
        recorder.append(host_stream(host), event)
    reached = HostReached(host="app-1", machine="m", engine="e", engine_version="29.1", api_version="1.52")
    recorder.append(host_stream("app-1"), reached)
    recorder.append(host_stream("db-1"), HostUnreachable(host="db-1", reason="no route"))
    log.close()


def test_without_a_word_there_is_this_machine(call: Call, home: Path) -> None:
    said = call("hosts", "list", "--json")
    (local,) = json.loads(said.out)["hosts"]
    assert (said.code, local["name"], local["origin"], local["reachable"]) == (0, "local", "local", None)
    assert not home.exists()


@pytest.mark.usefixtures("told")
def test_hosts_are_listed_with_who_says_where_they_are_and_whether_they_answered(call: Call) -> None:
    found = {one["name"]: one for one in json.loads(call("hosts", "list", "--json").out)["hosts"]}
    assert list(found) == ["local", "app-1", "db-1"]
    app = found["app-1"]
    assert (app["origin"], app["address"], app["user"], app["git_says"]) == (
        "controller",
        "10.0.0.1",
        "deploy",
        "10.0.0.9",
    )
    assert (app["reachable"], app["engine"], app["since"]) == (True, "e", "2026-01-02T03:04:05.000Z")
    db = found["db-1"]
    assert (db["origin"], db["address"], db["port"], db["declared_by"]) == ("git", "10.0.0.3", 22, "shop")
    assert (db["reachable"], db["reason"]) == (False, "no route")
    lines = call("hosts", "list").out.splitlines()
    assert lines[0].split() == ["HOST", "ADDRESS", "ORIGIN", "ROLES", "ANSWERS"]
    assert "deploy@10.0.0.1" in lines[2]
    assert "controller (git says 10.0.0.9)" in lines[2]
    assert lines[3].endswith("no since 2026-01-02T03:04:05.000Z: no route")


def listed(call: Call) -> dict[str, tuple[bool | None, str | None, str]]:
    """What the list says of each host's answer."""
    found = json.loads(call("hosts", "list", "--json").out)["hosts"]
    return {one["name"]: (one["reachable"], one["since"], one["reason"]) for one in found}


@pytest.mark.usefixtures("told")
def test_a_newer_answer_than_the_log_has_is_listed(call: Call, home: Path) -> None:
    at, store = FakeClock().now(), ObservedStore(home / "observed.db")
    later = at + timedelta(hours=1)
    said = listed(call)
    store.note_hosts({host: HostAnswer(answers=host != "app-1", reason="gone", at=at) for host in said})
    assert listed(call) == {**said, "local": (True, "2026-01-02T03:04:05.000Z", "gone")}
    store.note_hosts({host: HostAnswer(answers=True, at=later) for host in ("app-1", "db-1")})
    assert listed(call)["app-1"] == said["app-1"]
    assert listed(call)["db-1"] == (True, "2026-01-02T04:04:05.000Z", "")
    assert "  answers  yes since 2026-01-02T04:04:05.000Z" in call("hosts", "show", "db-1").out.splitlines()


@pytest.mark.usefixtures("told")
def test_a_host_that_nothing_ran_on_is_shown_with_where_it_is(call: Call) -> None:
    said = call("hosts", "show", "db-1")
    assert said.code == 0
    assert "  address  root@10.0.0.3, by git" in said.out.splitlines()
    assert "no container" in said.out
    shown = json.loads(call("hosts", "show", "db-1", "--json").out)
    assert (shown["containers"], shown["declared"]["address"]) == ([], "10.0.0.3")
    assert call("hosts", "show", "db-1", "--at", "1").code == 1


@pytest.mark.parametrize("command", ["check", "doctor", "bootstrap"])
def test_a_host_that_nobody_knows_is_named_with_those_there_are(
    call: Call, operator: Path, command: str
) -> None:
    assert operator.is_file()
    said = call("hosts", command, "app-9")
    assert said.code == 1
    assert "host-name-unknown" in said.err
    assert "known hosts: local, app-1" in said.err


def test_a_broken_file_of_the_operator_is_named(call: Call, operator: Path) -> None:
    operator.write_text("network: {static: {hosts: {app-1: {}}}}\n")
    for command in (("list",), ("check",), ("bootstrap", "app-1")):
        said = call("hosts", *command)
        assert said.code == 1
        assert "network.static.hosts.app-1" in said.err


def test_a_host_that_does_not_answer_fails_every_command_that_asks_it(call: Call, operator: Path) -> None:
    operator.write_text(
        "network: {static: {hosts: {app-1: {address: 127.0.0.1, port: 1}}}}\nssh: {connect_seconds: 5}\n"
    )
    for command in ("check", "doctor"):
        said = call("hosts", command, "app-1", "--json")
        assert said.code == 2
        (host,) = json.loads(said.out)["hosts"]
        assert (host["host"], host["ok"], host["checks"][0]["name"]) == ("app-1", False, "ssh")
        assert host["checks"][0]["next"]
    reachable, since, reason = listed(call)["app-1"]
    assert (reachable, since is None) == (False, False)
    assert reason.startswith("host-unreachable: ")
    said = call("hosts", "bootstrap", "app-1", "--yes", "--json")
    assert said.code == 2
    (result,) = json.loads(said.out)["hosts"]
    assert (result["status"], result["code"], result["done"]) == ("failed", "ssh_failed", [])
    assert call("hosts", "bootstrap", "app-1", "--dry-run").out.startswith("app-1: failed (ssh_failed): ")


def test_the_doctor_of_this_machine_needs_no_ssh(
    call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = Programs(tmp_path / "bin")
    programs.put("docker", 'case "$*" in *"version --format"*) echo "29.1 1.52";; esac')
    monkeypatch.setenv("PATH", str(programs.folder))
    said = call("hosts", "doctor", "local", "--json")
    (local,) = json.loads(said.out)["hosts"]
    assert "docker version --format {{.Server.Version}} {{.Server.APIVersion}}" in programs.called
    names = [one["name"] for one in local["checks"]]
    assert names[0] == "reach"
    assert {"docker", "compose", "time-sync", "disk-root", "shm", "nofile", "port-80"} <= set(names)
    assert all(one["next"] for one in local["checks"] if one["status"] == "FAIL")
    assert said.code == (0 if local["ok"] else 2)
    assert not (home / "keys" / "known_hosts").exists()
