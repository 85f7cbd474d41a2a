"""Several real hosts on one machine: each has an address, an engine, an SSH server and files of its own.

    with lab(hosts=3) as made:
        made.host("h2").cut()

Beside them stand a registry, which everybody reaches as `127.0.0.1:PORT`, the name that engines and the
product trust without a certificate, and a Git server at the lab's own address. It runs as root, in the
machine's namespaces as well as in others (tests/lab/apart.sh), and nothing is left of it: see
tests/support/lab_box.py and lab_network.py for how.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient

from tests.support.engine import EngineUnavailableError
from tests.support.git_ssh import SshGitHost, ssh_git_host
from tests.support.lab_box import COMPOSE
from tests.support.lab_host import LabHost
from tests.support.lab_host_files import write_host_files
from tests.support.lab_machine import ENGINE_PROGRAMS, require_programs
from tests.support.lab_network import LabNetwork, lab_network
from tests.support.lab_ssh import CONNECT_SECONDS, ssh
from tests.support.registry import Registry, running_registry
from tests.support.repos import Repository
from tests.support.signing import SshPerson

DISK_BYTES = 512 << 20  # as much of it as is written takes memory
_PROGRAMS = {
    **ENGINE_PROGRAMS,
    "containerd": "containerd",
    "docker-registry": "docker-registry",
    "setpriv": "util-linux",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}

_MORTAL = ("setpriv", "--pdeathsig", "KILL", "--")  # a command with these ends with the one who started it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """The hosts and what they need."""

    folder: Path
    network: LabNetwork
    hosts: dict[str, LabHost]  # h1, h2, …
    identity_file: Path  # the private key that all users of all hosts let in, and the Git server
    known_hosts: Path  # the keys of all hosts and of the Git server
    registry: Registry
    git: SshGitHost
    repository: Repository  # an empty one, which the Git server serves as all others

    def host(self, name: str) -> LabHost:
        """One of them."""
        return self.hosts[name]

    def ssh(
        self,
        name: str,
        command: str,
        *,
        user: str = "root",
        connect_seconds: int = CONNECT_SECONDS,
        program: str = "ssh",
    ) -> str:
        """What a command printed that ran on a host over SSH; see tests/support/lab_ssh.py."""
        return ssh(
            str(self.hosts[name].address),
            command,
            identity_file=self.identity_file,
            known_hosts=self.known_hosts,
            user=user,
            connect_seconds=connect_seconds,
            program=program,
        )

    def learn_keys(self) -> None:
        """Let the keys that the hosts show now be the known ones."""
        lines = [f"{host.address} {host.public_key}\n" for host in self.hosts.values()]
        self.known_hosts.write_text("".join([*lines, self.git.known_hosts.read_text()]))

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
    when the caller is killed outright, hosts and servers end with it, and what is left is a temporary folder
    and empty cgroups of its name.
    """
    require_programs("a lab", _PROGRAMS)
    if not COMPOSE.exists():
        raise EngineUnavailableError(f"a lab needs {COMPOSE}: run `make setup`")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sc-lab-"))
        stack.callback(shutil.rmtree, folder)
        network = stack.enter_context(lab_network())
        person = SshPerson.create(folder, "identity")
        addresses = {f"h{number + 1}": network.address(number) for number in range(hosts)}
        made: dict[str, LabHost] = {}
        for name, address in addresses.items():
            cgroup = f"{folder.name}-{name}"
            files = folder / name / "etc"
            write_host_files(files, name=name, hosts=addresses, cgroup=cgroup, client_key=person.public)
            host = LabHost(name=name, address=address, folder=folder / name, network=network, cgroup=cgroup)
            stack.callback(host.remove)
            host.begin(disk_bytes=disk_bytes)
            host.begin_engine()
            host.begin_ssh()
            made[name] = host
        registry, git = stack.enter_context(_servers(folder, network=network, person=person))
        for host in made.values():
            host.forward_port(registry.port)
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


@contextmanager
def _servers(
    folder: Path, *, network: LabNetwork, person: SshPerson
) -> Generator[tuple[Registry, SshGitHost]]:
    """What stands beside the hosts."""
    (folder / "registry").mkdir()
    everywhere = "0.0.0.0"  # noqa: S104  # the hosts ask it at the lab's address, and we on the loopback
    address = str(network.gateway)
    with (
        running_registry(folder / "registry", listen=everywhere, prefix=_MORTAL) as registry,
        ssh_git_host(folder / "git", address=address, person=person, prefix=_MORTAL) as git,
    ):
        yield registry, git
