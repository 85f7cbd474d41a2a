"""What a probe of a container comes to, in the words that a failure shows.

Every engine says it alike, so the words are here and how it is found out elsewhere. What a container
answers is foreign text: one line of it, printable, masked and bounded.
"""

from __future__ import annotations

import shlex
from http import HTTPStatus

from events.kernel.errors import UserError, error_code
from events.manifest import CommandProbe, HttpProbe, Probe, TcpProbe
from projections.engine.errors import shown
from projections.engine.port import ProbeAnswer

PROBE_IMPOSSIBLE = error_code(
    "probe-impossible", "A container cannot be asked over the network, because its engine is elsewhere."
)

KEPT_BYTES = 4096  # of an answer; more is not read, or read and thrown away
_LINE_LIMIT = 200  # characters of a foreign line
NOT_RUNNING = "the container does not run"
NO_NETWORK = "the container is on no network"


def asked(probe: Probe) -> str:
    """What is asked, on one line."""
    match probe:
        case HttpProbe():
            return f"GET http://{host_of(probe)}{probe.path}"
        case TcpProbe():
            return f"connection to port {probe.port}"
        case CommandProbe():
            return shown(shlex.join(probe.command), limit=_LINE_LIMIT).replace("\n", " ")


def host_of(probe: HttpProbe) -> str:
    """The `Host` of the request."""
    return probe.host or f"localhost:{probe.port}"


def status_answer(probe: HttpProbe, status: int, body: bytes) -> ProbeAnswer:
    """A response, with the first line of what it says when its status does not count."""
    passed = probe.first_status <= status <= probe.last_status
    words = f"{asked(probe)} answered {status}{_phrase(status)}"
    return ProbeAnswer(passed=passed, said=words if passed else _with_line(words, body))


def accepted(probe: TcpProbe) -> ProbeAnswer:
    """Somebody listens."""
    return ProbeAnswer(passed=True, said=f"{asked(probe)} was taken")


def ended(probe: CommandProbe, code: int, output: bytes) -> ProbeAnswer:
    """A program came to its end."""
    words = f"{asked(probe)} ended with exit code {code}"
    return ProbeAnswer(passed=code == 0, said=words if code == 0 else _with_line(words, output))


def hindered(probe: Probe, why: str) -> ProbeAnswer:
    """There was no answer."""
    return ProbeAnswer(passed=False, said=f"{asked(probe)}: {_line(why)}")


def too_late(probe: Probe, seconds: float) -> ProbeAnswer:
    """There was no answer in time."""
    return hindered(probe, f"no answer in {seconds:g} s")


def probe_impossible(probe: Probe, address: str) -> UserError:
    """The addresses of containers lead nowhere from here."""
    return UserError(
        PROBE_IMPOSSIBLE,
        f"{asked(probe)}: the engine at {shown(address)} is not on this machine",
        next="use `gate.command`, which the engine runs in the container",
    )


def _phrase(status: int) -> str:
    known = {one.value: one.phrase for one in HTTPStatus}
    return f" {known[status]}" if status in known else ""


def _with_line(words: str, foreign: bytes) -> str:
    line = _line(foreign.decode(errors="replace"))
    return f"{words}: {line}" if line else words


def _line(text: str) -> str:
    """The first line that says something."""
    lines = (line.strip() for line in shown(text, limit=KEPT_BYTES).splitlines())
    return shown(next((line for line in lines if line), ""), limit=_LINE_LIMIT)
