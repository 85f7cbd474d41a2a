"""The demo itself: it shows what it says, checks it, and leaves nothing however it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal

import pytest
from docker.client import DockerClient

from controller.demo.hands import git
from tests.support.cli import Stagecraft
from tests.support.demos import running_demo
from tests.support.processes import wait_until

ACTS = (
    "1. The first deploy",
    "2. A merge: shop v2",
    "3. A broken merge",
    "4. git revert of the broken merge",
    "5. git revert of v2: back to v1",
    "6. rollback: back to v2, without Git",
    "7. What the log says",
)


@pytest.fixture
def nowhere(cli: Stagecraft) -> Stagecraft:
    """The command without a home that is named."""
    return Stagecraft(cwd=cli.cwd)


def test_the_demo_shows_a_teams_day_and_leaves_nothing(nowhere: Stagecraft, engine: DockerClient) -> None:
    with running_demo(nowhere, engine) as demo:
        assert demo.end() == 0, demo.said + demo.complained
        assert demo.left() == []
        assert demo.complained == ""
    said = demo.said
    positions = [said.index(act) for act in ACTS]
    assert positions == sorted(positions)
    acts = re.split(r"^\d\. ", said, flags=re.MULTILINE)[1:]
    answers = [re.findall(r"curl \S+\n   \| (.*)", act) for act in acts]
    assert answers == [["shop v1"], ["shop v2"], ["shop v2"], ["shop v2"], ["shop v1"], ["shop v2"], []]
    assert re.search(r"Traffic: \d+ requests during the switch, 0 failed, .*, 0 connections cut", acts[1])
    assert "invalid start port" in acts[2]
    assert "exit code: 1" in acts[2]
    assert "RELEASE ID" in acts[6]
    assert re.search(r"operation +local/web: [0-9a-f]{12} came for [0-9a-f]{12}", acts[6])
    assert re.search(r'commit +[0-9a-f]{12} "Shop v2"', acts[6])


def test_a_kept_demo_goes_on_and_down_removes_it(cli: Stagecraft, engine: DockerClient) -> None:
    home = cli.cwd / "kept-tmp" / "home"
    with running_demo(cli, engine, "--keep", "--home", str(home), name="kept") as demo:
        assert demo.end() == 0, demo.said + demo.complained
        port = int(re.findall(r"curl http://127.0.0.1:(\d+)/", demo.said)[-1])
        assert _asked(port) == "shop v2"
        assert f"stagecraft demo down --home {home}" in demo.said

        again = cli.run("demo", "--keep", "--home", home).expect(1)
        assert "demo-exists" in again.stderr

        compose = home / "demo" / "shop" / "compose.yaml"
        compose.write_text(compose.read_text().replace("/web:v1", "/web:v3"))
        git("commit", "-am", "Shop v3", cwd=compose.parent)
        git("push", cwd=compose.parent)
        wait_until("shop v3", lambda: _asked(port) == "shop v3", seconds=120)

        def sync() -> str:
            shown = cli.run("status", "--env", "prod", "--json", "--home", home).expect(0)
            return str(shown.json()["sync"])

        wait_until("the verdict", lambda: sync() == "in-sync", seconds=120)

        cli.run("demo", "down", "--home", home, seconds=120).expect(0)
        assert demo.left() == []
    cli.run("demo", "down", "--home", home).expect(1)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
def test_a_signal_in_the_middle_leaves_nothing(
    nowhere: Stagecraft, engine: DockerClient, number: signal.Signals, code: int
) -> None:
    with running_demo(nowhere, engine) as demo:
        demo.says("| web: create")
        assert demo.end(number) == code
        assert "Taking it all away" in demo.said
        assert demo.left() == []


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("Setting up"),
        pytest.param("$ export", marks=pytest.mark.slow),
        pytest.param("$ stagecraft controller run", marks=pytest.mark.slow),
    ],
)
def test_an_early_interrupt_leaves_nothing(nowhere: Stagecraft, engine: DockerClient, moment: str) -> None:
    with running_demo(nowhere, engine) as demo:
        demo.says(moment)
        assert demo.end(signal.SIGINT) == 130
        assert demo.left() == []


def test_what_does_not_happen_is_not_told(nowhere: Stagecraft, engine: DockerClient) -> None:
    with running_demo(nowhere, engine) as demo:
        demo.says("2. A merge")
        record = json.loads((demo.home / "demo" / "record.json").read_text())
        os.kill(record["controller"]["pid"], signal.SIGKILL)
        assert demo.end() == 3
        assert "demo-expectation-failed" in demo.complained
        assert "the controller has ended" in demo.complained
        assert "3. A broken merge" not in demo.said
        assert demo.left() == []


def test_a_home_with_something_in_it_is_refused_and_left_alone(cli: Stagecraft, engine: DockerClient) -> None:
    home = cli.cwd / "used"
    home.mkdir()
    (home / "events.db").write_text("somebody's log")
    with running_demo(cli, engine, "--keep", "--home", str(home)) as demo:
        assert demo.end() == 1
        assert "demo-home-in-use" in demo.complained
    assert [path.name for path in home.iterdir()] == ["events.db"]


def _asked(port: int) -> str:
    """What the URL says; while web is replaced, the gateway's error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    except OSError as error:
        return f"no answer: {error}"
    finally:
        connection.close()
