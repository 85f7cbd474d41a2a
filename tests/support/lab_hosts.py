"""Several real hosts on one machine: each has an address, an engine, an SSH server and files of its own.

    with lab(hosts=3) as made:
        made.host("h2").cut()

Beside them stand a registry, which everybody reaches as `127.0.0.1:PORT`, the name that engines and the
product trust without a certificate, and a Git server at the lab's own address. It runs as root, in the
machine's namespaces as well as in others (tests/lab/apart.sh), and nothing is left of it: see
tests/support/lab_host.py and lab_network.py for how.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from docker.client import DockerClient

from tests.support.engine import EngineUnavailableError
from tests.support.git_ssh import SshGitHost, ssh_git_host
from tests.support.lab_host import LabHost
from tests.support.lab_host_files import write_host_files
from tests.support.lab_machine import ENGINE_PROGRAMS, parents, require_programs
from tests.support.lab_network import LabNetwork, first_process, lab_network
from tests.support.registry import Registry, running_registry
from tests.support.repos import Repository
from tests.support.signing import SshPerson

DISK_BYTES = 1 << 30  # as much of it as is written takes memory
_PROGRAMS = {
    **ENGINE_PROGRAMS,
    "containerd": "containerd",
    "docker-registry": "docker-registry",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}
_ENTRY = Path(__file__).parents[1] / "lab" / "host.sh"
_COMPOSE = Path(sys.executable).parent / "docker-compose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The hosts and what they need."""

    folder: Path
    network: LabNetwork
    hosts: dict[str, LabHost]  # h1, h2, …
    identity_file: Path  # the private key that all users of all hosts let in
    known_hosts: Path
    registry: Registry
    git: SshGitHost
    repository: Repository  # an empty one, which the Git server serves as all others

    def host(self, name: str) -> LabHost:
        """One of them."""
        return self.hosts[name]

    def learn_keys(self) -> None:
        """Let the keys that the hosts show now be the known ones."""
        lines = [f"{host.address} {host.public_key}\n" for host in self.hosts.values()]
        self.known_hosts.write_text("".join(lines))

    def spread(self, source: DockerClient, reference: str, *, names: Iterable[str] = ()) -> None:
        """Put an image of some engine into those of hosts, all of them unless named."""
        content = b"".join(source.images.get(reference).save(named=True))
        for name in names or self.hosts:
            with contextlib.closing(self.hosts[name].client()) as client:
                client.images.load(content)

    def heal(self) -> None:
        """Take every fault away and wait until all is as at the beginning; images and containers stay."""
        for host in self.hosts.values():
            host.heal()
        self.learn_keys()


@contextmanager
def lab(*, hosts: int = 3, disk_bytes: int = DISK_BYTES) -> Generator[Lab]:
    """Hosts `h1`, `h2`, … that answer; all of it is gone afterwards. Raises EngineUnavailableError.

    SIGTERM must raise in the caller's main thread for the end to be reached, as tests/conftest.py has it;
    when the caller is killed, the hosts end with it, and files of the lab are left in the temporary folder.
    """
    require_programs("a lab", _PROGRAMS)
    if not _COMPOSE.exists():
        raise EngineUnavailableError(f"a lab needs {_COMPOSE}: run `make setup`")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sc-lab-"))
        stack.callback(shutil.rmtree, folder)
        network = stack.enter_context(lab_network())
        person = SshPerson.create(folder, "identity")
        names = [f"h{number + 1}" for number in range(hosts)]
        made: dict[str, LabHost] = {}
        label = f"lab-{uuid4().hex[:8]}"
        addresses = {name: network.address(number) for number, name in enumerate(names)}
        for name in names:
            own = folder / name
            write_host_files(
                own / "etc", name=name, hosts=addresses, cgroup=f"{label}-{name}", client_key=person.public
            )
            first = first_process([*_ENTER, name, str(own), str(disk_bytes), str(_COMPOSE)])
            host = LabHost(
                name=name,
                address=addresses[name],
                folder=own,
                network=network,
                cgroup=f"{label}-{name}",
                first=first,
                pid=_child_of(first),
            )
            stack.callback(host.remove)
            network.plug(name, host.address, pid=host.pid)
            host.begin_engine()
            host.begin_ssh()
            made[name] = host
        (folder / "registry").mkdir()
        registry = stack.enter_context(running_registry(folder / "registry", listen="0.0.0.0"))  # noqa: S104  # hosts too
        git = stack.enter_context(ssh_git_host(folder / "git", address=str(network.gateway)))
        for host in made.values():
            host.forward_port(int(registry.address.rpartition(":")[2]))
        result = Lab(
            folder=folder,
            network=network,
            hosts=made,
            identity_file=person.key,
            known_hosts=folder / "known_hosts",
            registry=registry,
            git=git,
            repository=Repository.create(folder / "repository"),
        )
        result.learn_keys()
        for host in made.values():
            host.wait_until_ready()
        yield result


_ENTER = (
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--uts",
    "--ipc",
    "--fork",
    "--kill-child",
    "--",
    str(_ENTRY),
)


def _child_of(process: subprocess.Popen[bytes]) -> int:
    """The host's first process; `unshare` has no other child."""
    return next(pid for pid, parent in parents().items() if parent == process.pid)
