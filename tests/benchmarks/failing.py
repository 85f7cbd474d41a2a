"""A new version that never answers: how long after its gate's deadline the former one is back, on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.benchmarks.figures import Figure, median, p95, seconds
from tests.benchmarks.stage import Place, Stage, until_answer
from tests.support.images import PORT
from tests.support.processes import free_port

TARGET = 3.0  # seconds after the deadline
DEADLINE_SECONDS = 2.0
_ENDS = frozenset({"ReleaseStarted", "ReleaseCompleted", "ReleaseRolledBack"})
_ENVIRONMENTS = "  prod: {gate: {settle: 300ms}}\n"
_GATE = "services: {{web: {{gate: {{deadline: {deadline}, http: {{port: {inner}, path: {path}}}}}}}}}\n"
_COMPOSE = """services:
  web:
    image: {image}
    stop_grace_period: 1s
    ports: ["{ports}"]
"""


def measure(stage: Stage) -> list[Figure]:
    """With a port of the host, where the former version has to be made again, and side by side."""
    rounds = stage.count(full=15, quick=1)
    figures: list[Figure] = []
    for what, fixed in (("replaced in its place", True), ("beside the former one", False)):
        with stage.place("failing-" + ("fixed" if fixed else "free")) as place:
            port = free_port()
            late = [_one(stage, place, number, port=port if fixed else None) for number in range(rounds + 1)]
            figures.append(
                p95(
                    f"Bad version {what}: back on the former one, after the gate's deadline",
                    late[1:],
                    target=TARGET,
                    samples=f"Releases with a deadline of {seconds(DEADLINE_SECONDS)}",
                )
            )
            stage.tell(f"{what}: median {seconds(median(late[1:]))} after the deadline")
    return figures


def _one(stage: Stage, place: Place, number: int, *, port: int | None) -> float:
    """Seconds from start to verdict, less the deadline; the first is good, the others never answer."""
    good = number == 0
    image = stage.images.web(f"v{number}")
    ports = str(PORT) if port is None else f"127.0.0.1:{port}:{PORT}"
    gate = _GATE.format(
        deadline="1m" if good else f"{DEADLINE_SECONDS:g}s", inner=PORT, path="/" if good else "/alive"
    )
    place.commit(_COMPOSE.format(image=image, ports=ports), environments=_ENVIRONMENTS, more=gate)
    look = ("controller", "run", "--once", "--repo", str(place.repository.origin))
    place.cli.run(*look, seconds=120).expect(0 if good else 1)
    if port is not None:
        until_answer(port, "web v0")
    (release, *_) = place.cli.ok("releases", "list", "--env", "prod", "--json").json()
    assert release["status"] == ("completed" if good else "rolled_back")
    return _took(place, str(release["id"])) - DEADLINE_SECONDS


def _took(place: Place, release: str) -> float:
    events: list[dict[str, Any]] = place.cli.ok("events", "list", "--json").json_lines()
    ends = [one for one in events if one["data"].get("release") == release and one["type"] in _ENDS]
    began, ended = (datetime.fromisoformat(one["time"]) for one in ends)
    return (ended - began).total_seconds()
