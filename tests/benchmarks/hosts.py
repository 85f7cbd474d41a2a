"""Eight hosts over SSH: a Release on all of them at once, and a pass with nothing to do.

By hand it is one `docker compose up -d --wait` for each host, all started together, at the sockets of the
hosts: without SSH, which ours has to go through. How often a pass waits for a host is measured as a person
would notice it: one host's wire is slowed, and what the pass takes longer is divided by the length of a round
trip. Requests that are under way together count once, as they are waited for once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from controller.bootstrap import open_context
from controller.home import Home
from events.kernel.compose_client import compose_client
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.idle import idle_passes
from tests.benchmarks.stage import COMMAND_SECONDS, Place, Stage
from tests.lab.up import controller_settings
from tests.support.daemons import running_daemon
from tests.support.images import PORT
from tests.support.lab_host import LabHost
from tests.support.lab_hosts import Lab, lab

HOSTS = 8
RELEASE, PASS_SECONDS, TRIPS = 1.25, 1.5, 6.0
_BY_HAND = "by-hand"
_ONE_WAY_MS = 100.0
_ENVIRONMENT = "  prod:\n    rollout: {{hosts: {{max_parallel: {hosts}}}}}\n"
_COMPOSE = """services:
  web:
    image: {image}
    stop_grace_period: 1s
    healthcheck:
      test: ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:{inner}/"]
      interval: 1s
      timeout: 1s
      retries: 5
"""


def measure(stage: Stage) -> list[Figure]:
    """One role on hosts that have nothing else."""
    hosts = stage.count(full=HOSTS, quick=2)
    with lab(hosts=hosts) as made, stage.place("hosts") as place:
        _write_settings(made, place)
        release = _release(stage, made, place)
        return [release, *_passes(stage, made, place)]


def _release(stage: Stage, made: Lab, place: Place) -> Figure:
    """Pushes to a running controller, until it says that the Release is completed."""
    pairs = stage.count(full=7, quick=1)
    ours: list[float] = []
    by_hand: list[float] = []
    _commit(stage, made, place, number=0, push=True)
    _up_everywhere(stage, made, place, number=0)
    with running_daemon(place.cli) as daemon:
        daemon.says("completed after", seconds=COMMAND_SECONDS)
        for number in range(1, pairs + 1):
            said = daemon.said.count("completed after")
            _commit(stage, made, place, number=number, push=False)
            with _paused(made):
                began = time.perf_counter()
                place.repository.push()
                daemon.says("completed after", times=said + 1, seconds=COMMAND_SECONDS)
                ours.append(time.perf_counter() - began)
            by_hand.append(_up_everywhere(stage, made, place, number=number))
            stage.tell(f"hosts {number}: {seconds(ours[-1])}, by hand {seconds(by_hand[-1])}")
        assert daemon.end() == 0
    return Figure(
        what=f"Push of one role on {len(made.hosts)} hosts over SSH, completed, "
        "against as many `up -d --wait` side by side at their sockets",
        value=median([one / other for one, other in zip(ours, by_hand, strict=True)]),
        target=RELEASE,
        unit=" x",
        detail=f"{pairs} pairs; {seconds(median(ours))} against {seconds(median(by_hand))}",
    )


def _passes(stage: Stage, made: Lab, place: Place) -> list[Figure]:
    """The daemon's own pass, with connections that stand."""
    rounds = stage.count(full=15, quick=2)
    logins = sum(host.logins() for host in made.hosts.values())
    with (
        open_context(Home(place.folder / "home"), progress=stage.tell) as context,
        asyncio.Runner() as runner,
    ):
        one_pass = idle_passes(context, runner, place.ours.name)
        first = one_pass()
        head = context.log.head()
        took = [one_pass() for _ in range(rounds)]
        made.host("h1").slow(_ONE_WAY_MS)
        one_pass()
        late = [one_pass() for _ in range(rounds)]
        assert context.log.head() == head, "a pass without news appended to the log"
    connections = sum(host.logins() for host in made.hosts.values()) - logins
    assert connections == len(made.hosts), f"{connections} connections to {len(made.hosts)} hosts"
    trip = 2 * _ONE_WAY_MS / 1000
    return [
        Figure(
            what=f"Pass over {len(made.hosts)} hosts over SSH with nothing to do",
            value=median(took),
            target=PASS_SECONDS,
            unit=" s",
            detail=f"{rounds} passes over connections that stand; {seconds(first)} with connecting",
        ),
        Figure(
            what="SSH round trips that such a pass waits for on a host",
            value=(median(late) - median(took)) / trip,
            target=TRIPS,
            unit="",
            detail=f"{seconds(median(late))} with a round trip of {seconds(trip)} to one of them; "
            "one connection a host",
        ),
    ]


def _write_settings(made: Lab, place: Place) -> None:
    home = place.folder / "home"
    home.mkdir()
    listed = {"url": str(place.repository.origin), "hosts": ["h*"]}
    settings = {**controller_settings(made), "repositories": [listed]}
    (home / "controller.yml").write_text(yaml.safe_dump(settings))


def _compose(stage: Stage, number: int) -> str:
    return _COMPOSE.format(image=stage.images.web(f"hosts-v{number}"), inner=PORT)


def _commit(stage: Stage, made: Lab, place: Place, *, number: int, push: bool) -> None:
    """A version whose image every host has."""
    made.spread(stage.engine, stage.images.web(f"hosts-v{number}"))
    names = ", ".join(made.hosts)
    place.commit(
        _compose(stage, number),
        environments=_ENVIRONMENT.format(hosts=len(made.hosts)),
        more=f"hosts: {{app: [{names}]}}\n",
        push=push,
    )


def _up_everywhere(stage: Stage, made: Lab, place: Place, *, number: int) -> float:
    """The seconds until all of the commands have ended."""
    file = place.folder / "by-hand.yaml"
    file.write_text(_compose(stage, number))
    began = time.perf_counter()
    commands = [_begin_up(host, file, config=place.folder) for host in made.hosts.values()]
    try:
        for one in commands:
            assert one.wait(COMMAND_SECONDS) == 0
        return time.perf_counter() - began
    finally:
        for one in commands:
            one.kill()


def _begin_up(host: LabHost, file: Path, *, config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [compose_client(), "-f", file, "-p", _BY_HAND, "up", "-d", "--wait"],
        env={**os.environ, "DOCKER_HOST": host.engine_url, "DOCKER_CONFIG": str(config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def _paused(made: Lab) -> Generator[None]:
    """What was made by hand does nothing during the block."""

    def turn(host: LabHost, act: str) -> None:
        with contextlib.closing(host.client()) as client:
            for one in client.containers.list(filters={"label": f"com.docker.compose.project={_BY_HAND}"}):
                (one.pause if act == "pause" else one.unpause)()

    with ThreadPoolExecutor(len(made.hosts)) as pool:
        list(pool.map(turn, made.hosts.values(), ["pause"] * len(made.hosts)))
        try:
            yield
        finally:
            list(pool.map(turn, made.hosts.values(), ["unpause"] * len(made.hosts)))
