"""Webhooks: one until the branch was looked at, and as many as can be sent.

The daemon is the installed command. Whoever floods it runs on the same machine, so the share of the machine
that the daemon gets is what an attacker leaves it.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from projections.observed import ObservedStore
from tests.benchmarks.figures import Figure, p95
from tests.benchmarks.stage import Place, Stage
from tests.benchmarks.watching import home_of, settings_file, until
from tests.support.daemons import Daemon, running_daemon

HOOK_TARGET = 0.2  # seconds
FLOOD = 100_000  # deliveries
FLOOD_TARGET = 60.0  # seconds for all of them
GROWTH_TARGET_MB = 32.0
_CONNECTIONS = 4
_AT_ONCE = 25  # deliveries that are sent before their answers are read
_CONTRACT = {202, 401, 413, 429, 503}
_SECRET = "between the two of us"  # noqa: S105  # of a server that lives for this measurement
_BODY = b"{}"


def measure(stage: Stage) -> list[Figure]:
    """One delivery, then a flood."""
    with stage.place("hooks") as place:
        figures = [_one(stage, place)]
    with stage.place("flood") as place:
        return [*figures, *_flood(stage, place)]


def _one(stage: Stage, place: Place) -> Figure:
    """A signed delivery until the branch has answered the look that it asks for."""
    took: list[float] = []
    observed = ObservedStore(home_of(place).observed_db)
    with _listening(place) as daemon:
        url = _address(daemon)
        with httpx.Client(trust_env=False, timeout=30) as client:
            for _ in range(stage.count(full=40, quick=2)):
                began = datetime.now(UTC)
                _deliver(client, url)
                until(partial(_answered_since, observed, began))
                took.append((_answered(observed) - began).total_seconds())
                time.sleep(1.0)  # as many as are allowed for good
        assert daemon.end() == 0
    return p95("Webhook until the branch has answered", took, target=HOOK_TARGET, samples="deliveries")


def _flood(stage: Stage, place: Place) -> list[Figure]:
    """Deliveries with right and wrong signatures, as fast as the daemon answers them."""
    lasting = stage.count(full=20, quick=1)
    answers = Counter[int]()
    with _listening(place) as daemon:
        url = _address(daemon)
        pid = daemon.process.pid
        _sent(url, 0.5, Counter[int]())  # what is made once is made
        before = _resident_mb(pid)
        took = _sent(url, lasting, answers)
        grown = _resident_mb(pid) - before
        lines = daemon.said.count("webhook refused")
        assert daemon.end() == 0
    assert set(answers) <= _CONTRACT, answers
    assert lines <= 6, "a line for each source, reason and minute"  # two reasons, two minutes
    count = answers.total()
    return [
        Figure(
            what=f"{FLOOD:,} webhook deliveries, half of them forged",
            value=FLOOD * took / count,
            target=FLOOD_TARGET,
            unit=" s",
            detail=f"{count / took:.0f} a second for {took:.0f} s through {_CONNECTIONS} connections; "
            + ", ".join(f"{number} of {status}" for status, number in sorted(answers.items())),
        ),
        Figure(
            what="Memory that the daemon takes more during such a flood",
            value=max(0.0, grown),
            target=GROWTH_TARGET_MB,
            unit=" MB",
            detail=f"resident, {before:.0f} MB before; {count} deliveries",
        ),
    ]


def _sent(url: str, lasting: float, answers: Counter[int]) -> float:
    """Post through several connections for so many seconds; answers how long it took."""
    parts = urlsplit(url)
    address = (str(parts.hostname), int(parts.port or 80))
    requests = b"".join(_request(parts.path, key) for key in (_SECRET, "guessed"))
    until_then = time.monotonic() + lasting
    counts = [Counter[int]() for _ in range(_CONNECTIONS)]

    def post(count: Counter[int]) -> None:
        with socket.create_connection(address, timeout=30) as connection, connection.makefile("rb") as answer:
            while time.monotonic() < until_then:
                connection.sendall(requests * _AT_ONCE)
                for _ in range(2 * _AT_ONCE):
                    count[_status(answer)] += 1

    began = time.monotonic()
    threads = [threading.Thread(target=post, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for count in counts:
        answers.update(count)
    return time.monotonic() - began


def _status(answer: BufferedReader) -> int:
    """Read one answer."""
    status, length = int(answer.readline().split()[1]), 0
    while (line := answer.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.split()[1])
    answer.read(length)
    return status


def _request(path: str, key: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(_BODY)}\r\n"
    return f"{head}X-Signature-256: sha256={_signature(key)}\r\n\r\n".encode() + _BODY


def _signature(key: str) -> str:
    return hmac.new(key.encode(), _BODY, hashlib.sha256).hexdigest()


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


@contextmanager
def _listening(place: Place) -> Generator[Daemon]:
    """A daemon that takes webhooks of a repository on this machine."""
    more = ", webhooks: {generic: {secret_env: BENCH_HOOK}}"
    file = settings_file(place, interval="1h", watch="false", more=more)
    place.repository.commit({"stagecraft.yml": "project: {name: shop}\nenvironments: {}\n"})
    knowing = replace(place.cli, environment={**place.cli.environment, "BENCH_HOOK": _SECRET})
    with running_daemon(knowing, "--controller", str(file)) as daemon:
        yield daemon


def _address(daemon: Daemon) -> str:
    daemon.says("/hooks/generic/")
    line = next(line for line in daemon.said.splitlines() if "/hooks/" in line)
    return line.rpartition(" ")[2]


def _deliver(client: httpx.Client, url: str) -> None:
    answer = client.post(url, content=_BODY, headers={"X-Signature-256": f"sha256={_signature(_SECRET)}"})
    assert answer.status_code == 202, answer.text


def _answered(observed: ObservedStore) -> datetime:
    """When the one branch last answered."""
    times = [one.at for one in observed.answers().values()]
    return max(times, default=datetime.min.replace(tzinfo=UTC))


def _answered_since(observed: ObservedStore, moment: datetime) -> bool:
    return _answered(observed) > moment
