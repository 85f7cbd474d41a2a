"""Whether a machine has what a host needs, judged from what one look told: a fact a check, with what helps.

Pure: who asks the host is `host_facts`. What a host does not tell is a warning and no failure, because a
machine may be fine and keep it to itself; what it tells and is too little fails. The limits are what a stock
Linux system has, so a machine that nobody tuned passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.diagnosis import Finding, Status
from events.kernel.errors import ExitCode

if TYPE_CHECKING:
    from controller.host_facts import Disk, HostFacts

LEAST_FREE_BYTES = 2 << 30
LEAST_FREE_PERCENT = 5.0
LEAST_SHM_BYTES = 64 << 20
LEAST_PORTS = 20_000
LEAST_NOFILE = 16_384
MOST_SECONDS_OFF = 5.0
WEB_PORTS = (80, 443)
_SHM = "/dev/shm"  # noqa: S108  # it is looked at
_SYSCTLS = {
    "rmem_max": ("net/core/rmem_max", 212_992),
    "wmem_max": ("net/core/wmem_max", 212_992),
    "somaxconn": ("net/core/somaxconn", 1024),
}


def preflight(facts: HostFacts, *, host: str, domain: str | None = None) -> list[Finding]:
    """All checks, in the order in which a person would mend what they find."""
    return [
        *([] if domain is None else [_dns(facts, domain)]),
        _docker(facts, host),
        _compose(facts),
        _time(facts),
        disk("disk-root", "/", facts.disks.get("/")),
        disk("disk-data", facts.data_root or "of the engine", facts.disks.get("data")),
        _shm(facts),
        *(_sysctl(facts, name, key, least) for name, (key, least) in _SYSCTLS.items()),
        _port_range(facts),
        _nofile(facts),
        *(_port(facts, port) for port in WEB_PORTS),
    ]


def summary(findings: list[Finding]) -> str:
    """`11/13 pass`: how many do not fail."""
    return f"{sum(one.status != 'FAIL' for one in findings)}/{len(findings)} pass"


def finding(name: str, status: Status, detail: str, *, advice: str = "") -> Finding:
    """A check of a host; what fails there is outside of us."""
    blame = ExitCode.OUTSIDE if status == "FAIL" else ExitCode.OK
    return Finding(name=name, status=status, detail=detail, next=advice, blame=blame)


def _dns(facts: HostFacts, domain: str) -> Finding:
    if facts.addresses:
        return finding("dns", "ok", f"{domain} is {', '.join(facts.addresses)}")
    advice = f"give {domain} an A or AAAA record, or mend the host's resolver: `getent ahosts {domain}`"
    return finding("dns", "FAIL", f"{domain} has no address there", advice=advice)


def _docker(facts: HostFacts, host: str) -> Finding:
    if facts.server:
        return finding("docker", "ok", f"{facts.server}, API {facts.api or 'unknown'}")
    if not facts.client:
        advice = f"stagecraft hosts bootstrap {host}" if host != "local" else "install Docker Engine"
        return finding("docker", "FAIL", "no `docker` on its PATH", advice=advice)
    words = facts.trouble or "it gives no answer"
    advice = "start it: `systemctl start docker`, or let the user into the group `docker`"
    return finding("docker", "FAIL", f"the engine does not answer its client: {words}", advice=advice)


def _compose(facts: HostFacts) -> Finding:
    if facts.compose:
        return finding("compose", "ok", facts.compose)
    return finding(
        "compose",
        "warn",
        "no `docker compose` for people there; a deploy needs none",
        advice="install the plugin",
    )


def _time(facts: HostFacts) -> Finding:
    off = clock_off(facts)
    if off is not None and off.status == "FAIL":
        return Finding(name="time-sync", status=off.status, detail=off.detail, next=off.next, blame=off.blame)
    if facts.synchronised is False:
        advice = "let it be set: `timedatectl set-ntp true`"
        return finding("time-sync", "FAIL", "nothing keeps its clock right", advice=advice)
    if facts.synchronised is None:
        words = "the host does not tell" if off is None else "its clock is right; who keeps it is not told"
        return finding("time-sync", "warn", words, advice="see `timedatectl`")
    return finding("time-sync", "ok", "synchronised")


def clock_off(facts: HostFacts) -> Finding | None:
    """How far the clock is from ours; None when the host does not tell."""
    if facts.ahead is None:
        return None
    if abs(facts.ahead) > MOST_SECONDS_OFF:
        where = "before" if facts.ahead > 0 else "behind"
        advice = "set it: `timedatectl set-ntp true`"
        return finding("clock", "FAIL", f"{abs(facts.ahead):.0f} s {where} the controller's", advice=advice)
    return finding("clock", "ok", f"within {MOST_SECONDS_OFF:g} s of the controller's")


def disk(name: str, path: str, found: Disk | None) -> Finding:
    """Room on a file system, in bytes and percent."""
    if found is None:
        return finding(name, "warn", f"{path}: the host does not tell")
    words = f"{path}: {_size(found.free)} free of {_size(found.total)}, {found.percent_free:.0f} %"
    if found.free < LEAST_FREE_BYTES or found.percent_free < LEAST_FREE_PERCENT:
        least = f"at least {_size(LEAST_FREE_BYTES)} and {LEAST_FREE_PERCENT:g} % are needed"
        advice = "make room: `docker system df` there tells what images and caches take"
        return finding(name, "FAIL", f"{words}; {least}", advice=advice)
    return finding(name, "ok", words)


def _shm(facts: HostFacts) -> Finding:
    found = facts.disks.get("shm")
    if found is None or not facts.shm_writable:
        what = "it is not there" if found is None else "it cannot be written"
        advice = f"mount it: `mount -t tmpfs tmpfs {_SHM}`"
        return finding("shm", "FAIL", f"{_SHM}: {what}", advice=advice)
    if found.total < LEAST_SHM_BYTES:
        advice = f"`mount -o remount,size=256m {_SHM}`"
        return finding("shm", "FAIL", f"{_SHM} has {_size(found.total)}", advice=advice)
    return finding("shm", "ok", f"{_SHM} has {_size(found.total)}")


def _sysctl(facts: HostFacts, name: str, key: str, least: int) -> Finding:
    values = facts.sysctls.get(key, ())
    if not values:
        return finding(name, "warn", "the host does not tell")
    if values[0] < least:
        advice = f"sysctl -w {key.replace('/', '.')}={least}"
        return finding(name, "FAIL", f"{values[0]} is less than {least}", advice=advice)
    return finding(name, "ok", str(values[0]))


def _port_range(facts: HostFacts) -> Finding:
    values = facts.sysctls.get("net/ipv4/ip_local_port_range", ())
    if len(values) != 2:  # noqa: PLR2004  # from, to
        return finding("port-range", "warn", "the host does not tell")
    first, last = values
    count = last - first + 1
    if count < LEAST_PORTS:
        advice = 'sysctl -w net.ipv4.ip_local_port_range="32768 60999"'
        detail = f"{first}-{last} are {max(count, 0)} ports, less than {LEAST_PORTS}"
        return finding("port-range", "FAIL", detail, advice=advice)
    return finding("port-range", "ok", f"{first}-{last}")


def _nofile(facts: HostFacts) -> Finding:
    if facts.nofile is not None and facts.nofile < LEAST_NOFILE:
        advice = f"raise it in /etc/security/limits.d: `* hard nofile {LEAST_NOFILE * 4}`"
        return finding("nofile", "FAIL", f"{facts.nofile} is less than {LEAST_NOFILE}", advice=advice)
    return finding("nofile", "ok", "no limit" if facts.nofile is None else str(facts.nofile))


def _port(facts: HostFacts, port: int) -> Finding:
    name = f"port-{port}"
    ours = [line.partition(" ")[0] for line in facts.ours if f":{port}->" in line]
    if ours:
        return finding(name, "ok", f"held by {ours[0]}, which we deployed")
    if port in facts.listening:
        advice = f"see who holds it: `ss -ltnp 'sport = :{port}'`"
        return finding(name, "FAIL", "somebody else listens on it", advice=advice)
    return finding(name, "ok", "free")


def _size(count: int) -> str:
    """A number of bytes for people."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count // 1024} KiB"
