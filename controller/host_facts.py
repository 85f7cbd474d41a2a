"""What one read-only command tells of a host: its engine's client, its disks, limits, ports and clock.

One shell script goes to `sh` on standard input and writes a line for each fact, so a look costs one round
trip and the host needs nothing but what a POSIX system has. A program that is missing or fails leaves its
fact out; what that means is for whoever judges. Nothing is changed by it, and whatever waits for the engine
has a deadline of its own there, so that a frozen engine does not hide the rest.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from events.kernel.errors import OutsideError, Where, error_code
from events.kernel.redact import printable

if TYPE_CHECKING:
    from pathlib import PurePath

    from events.kernel.clock import Clock
    from projections.transport.port import Transport

HOST_LOOK_FAILED = error_code("host-look-failed", "The read-only look at a host did not give an answer.")

SECONDS = 45.0  # for all of it
_CLIENT_SECONDS = 8  # for each question to the engine's client
_KIB = 1024
_MOST_BYTES = 1 << 20

_SCRIPT = r"""
export LC_ALL=C
say() { printf '%s=%s\n' "$1" "$2"; }
few() { if command -v timeout >/dev/null 2>&1; then timeout WAIT "$@"; else "$@"; fi; }
say begin yes
say now "$(date +%s.%N)"
say uid "$(id -u)"
say user "$(id -un)"
D=docker
H=SOCKET
if command -v docker >/dev/null 2>&1; then
  say client yes
  few docker ${H:+-H "$H"} version >/dev/null 2>&1 \
    || { few sudo -n true 2>/dev/null && D='sudo -n docker'; }
  V=$(few $D ${H:+-H "$H"} version --format '{{.Server.Version}} {{.Server.APIVersion}}' 2>&1) \
    && say server "$V" || say trouble "$(printf '%s' "$V" | tr '\n' ' ')"
  C=$(few docker compose version --short 2>/dev/null) && say compose "$C"
  R=$(few $D ${H:+-H "$H"} info --format '{{.DockerRootDir}}' 2>/dev/null) && say data "$R"
  few $D ${H:+-H "$H"} ps --filter label=stagecraft.project --format '{{.Names}} {{.Ports}}' 2>/dev/null \
    | while read -r line; do say ours "$line"; done
fi
if few sudo -n true 2>/dev/null; then say sudo yes; fi
if command -v apt-get >/dev/null 2>&1; then say apt yes; fi
if command -v curl >/dev/null 2>&1; then say curl yes; fi
above=ROOT
while [ ! -e "$above" ] && [ "$above" != / ]; do above=$(dirname "$above"); done
if [ -d ROOT ]; then say root folder; elif [ -e ROOT ]; then say root other; else say root missing; fi
if [ -w "$above" ]; then say writable yes; fi
[ -d ROOT ] && say owner "$(stat -c %U ROOT 2>/dev/null)"
disk() {
  df -Pk "$2" 2>/dev/null | tail -n 1 | while read -r _ total _ free _; do say "disk.$1" "$total $free"; done
}
disk / /
disk root "$above"
[ -n "${R:-}" ] && [ -d "$R" ] && disk data "$R"
[ -d /dev/shm ] && disk shm /dev/shm
[ -w /dev/shm ] && say shm writable
for name in net/core/rmem_max net/core/wmem_max net/core/somaxconn net/ipv4/ip_local_port_range; do
  [ -r "/proc/sys/$name" ] && say "sysctl.$name" "$(tr '\t' ' ' <"/proc/sys/$name")"
done
say nofile "$(ulimit -H -n)"
N=$(few timedatectl show -p NTPSynchronized --value 2>/dev/null) && say synchronised "$N"
grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 2>/dev/null \
  | while read -r _ local _; do say listens "${local##*:}"; done
if [ -n NAME ]; then
  few getent ahosts NAME 2>/dev/null | while read -r address _; do say address "$address"; done
fi
say later "$(date +%s.%N)"
say end yes
"""
_PLACEHOLDER = re.compile(r"\b(?:NAME|ROOT|SOCKET|WAIT)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file system, in bytes."""

    total: int
    free: int  # for those who are not root

    @property
    def percent_free(self) -> float:
        """Between 0 and 100."""
        return 100.0 * self.free / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host told. Empty or None: it did not tell."""

    user: str = ""
    is_root: bool = False
    sudo: bool = False  # without a password
    apt: bool = False
    curl: bool = False
    client: bool = False  # the engine's own client is on its PATH
    server: str = ""  # version of the engine that the client reaches
    api: str = ""
    trouble: str = ""  # the client's words where it reaches none
    compose: str = ""
    data_root: str = ""  # of the engine
    ours: tuple[str, ...] = ()  # containers with a label of ours, and their ports
    root: str = ""  # folder, missing, other: the folder that is ours
    root_writable: bool = False  # or the nearest folder above it that there is
    root_owner: str = ""
    disks: Mapping[str, Disk] = field(default_factory=dict[str, Disk])  # by `/`, `root`, `data`, `shm`
    shm_writable: bool = False
    sysctls: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    nofile: int | None = None  # the hard limit; None also: there is none
    synchronised: bool | None = None
    listening: frozenset[int] = frozenset()  # TCP ports
    addresses: tuple[str, ...] = ()  # of the domain that was asked for
    ahead: float | None = None  # seconds that its clock is before ours, as well as a round trip tells

    @property
    def privileged(self) -> bool:
        """Whether what only root may do can be done there."""
        return self.is_root or self.sudo


def script(*, root: PurePath, engine_socket: str, domain: str | None = None) -> bytes:
    """The command, for `sh` on standard input; without a socket the engine is where its client finds it."""
    words = {
        "NAME": shlex.quote(domain or ""),
        "ROOT": shlex.quote(str(root)),
        "SOCKET": shlex.quote(f"unix://{engine_socket}" if engine_socket else ""),
        "WAIT": str(_CLIENT_SECONDS),
    }
    return _PLACEHOLDER.sub(lambda found: words[found[0]], _SCRIPT).encode()


async def facts_of(
    transport: Transport,
    *,
    root: PurePath,
    engine_socket: str,
    clock: Clock,
    domain: str | None = None,
) -> HostFacts:
    """Ask a host.

    Raises OutsideError with a code in `HOST_SILENT`, `process-timed-out` or `host-look-failed`.
    """
    before = clock.now()
    ran = await transport.run(
        ["sh", "-s"],
        stdin=script(root=root, engine_socket=engine_socket, domain=domain),
        seconds=SECONDS,
        most=_MOST_BYTES,
    )
    told = ran.stdout.decode(errors="replace")
    if "end=yes" not in told:
        words = printable(ran.stderr.decode(errors="replace")).strip() or f"sh ended with {ran.code}"
        raise OutsideError(
            HOST_LOOK_FAILED,
            f"{transport.host} does not tell what it has",
            where=Where(host=transport.host),
            why=words,
            next="see whether `sh -s` works there",
        )
    return parsed(told, sent=before.timestamp(), back=clock.now().timestamp())


def parsed(told: str, *, sent: float, back: float) -> HostFacts:
    """The facts in what the script wrote; `sent` and `back` are our clock around it, in seconds."""
    one: dict[str, str] = {}
    many: dict[str, list[str]] = {"ours": [], "listens": [], "address": []}
    for line in told.splitlines():
        name, sign, value = line.partition("=")
        if not sign:
            continue
        value = printable(value).strip()
        if name in many:
            many[name].append(value)
        else:
            one[name] = value
    server, _, api = one.get("server", "").partition(" ")
    return HostFacts(
        user=one.get("user", ""),
        is_root=one.get("uid") == "0",
        sudo="sudo" in one,
        apt="apt" in one,
        curl="curl" in one,
        client="client" in one,
        server=server,
        api=api,
        trouble=one.get("trouble", ""),
        compose=one.get("compose", ""),
        data_root=one.get("data", ""),
        ours=tuple(many["ours"]),
        root=one.get("root", ""),
        root_writable="writable" in one,
        root_owner=one.get("owner", ""),
        disks={name[5:]: disk for name in one if name.startswith("disk.") and (disk := _disk(one[name]))},
        shm_writable="shm" in one,
        sysctls={
            name[7:]: tuple(int(word) for word in one[name].split() if word.isdecimal())
            for name in one
            if name.startswith("sysctl.")
        },
        nofile=int(one["nofile"]) if one.get("nofile", "").isdecimal() else None,
        synchronised={"yes": True, "no": False}.get(one.get("synchronised", "")),
        listening=frozenset(int(port, 16) for port in many["listens"] if _is_hex(port)),
        addresses=tuple(dict.fromkeys(many["address"])),
        ahead=_ahead(_seconds(one.get("now", "")), _seconds(one.get("later", "")), sent=sent, back=back),
    )


def _disk(words: str) -> Disk | None:
    total, _, free = words.partition(" ")
    if not (total.isdecimal() and free.isdecimal()):
        return None
    return Disk(total=int(total) * _KIB, free=int(free) * _KIB)


def _is_hex(text: str) -> bool:
    return bool(text) and all(one in "0123456789abcdefABCDEF" for one in text)


def _seconds(text: str) -> float | None:
    """What `date` says, which has whole seconds alone on some systems."""
    whole, _, part = text.partition(".")
    if not whole.isdecimal():
        return None
    return float(f"{whole}.{part}") if part.isdecimal() else float(whole)


def _ahead(first: float | None, last: float | None, *, sent: float, back: float) -> float | None:
    """How far the host's clock is before ours, by its clock at the script's beginning and end.

    Nothing, as long as both may lie between ours before and after, give or take what whole seconds hide.
    """
    if first is None or last is None:
        return None
    if first < sent - 1:
        return first - sent
    return max(last - back, 0.0)
