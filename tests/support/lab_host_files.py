"""What a host of a lab is given for its /etc before it begins; tests/lab/host.sh puts it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from uuid import uuid4

from tests.support.signing import SshPerson

CONTAINERD = "/run/containerd/containerd.sock"
_SHUTDOWN_SECONDS = 5  # what a stopping engine gives its containers before it kills them
_SSHD = """Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
PrintMotd no
StrictModes no
UseDNS no
UsePAM no
LogLevel VERBOSE
"""
_SFTP = "Subsystem sftp internal-sftp\n"
_CONTAINERD_CONFIG = f"""version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{CONTAINERD}"
"""
_HOST_KEY = "ssh_host_ed25519_key"


def write_host_files(
    folder: Path, *, name: str, hosts: Mapping[str, IPv4Address], cgroup: str, client_key: str
) -> None:
    """Write them below `folder`, which is made. All of `hosts` are known by name there."""
    ssh, docker, containerd = folder / "ssh", folder / "docker", folder / "containerd"
    for one in (ssh, docker, containerd):
        one.mkdir(parents=True)
    known = "".join(f"{address} {host}\n" for host, address in hosts.items())
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
    (folder / "hostname").write_text(f"{name}\n")
    (folder / "machine-id").write_text(f"{uuid4().hex}\n")
    (docker / "daemon.json").write_text(
        json.dumps(
            {
                "cgroup-parent": f"/{cgroup}",
                "containerd": CONTAINERD,
                "exec-opts": ["native.cgroupdriver=cgroupfs"],
                "shutdown-timeout": _SHUTDOWN_SECONDS,
            }
        )
    )
    (containerd / "config.toml").write_text(_CONTAINERD_CONFIG)
    (ssh / "sshd_config").write_text(sshd_config(sftp=True))
    (ssh / "authorized_keys").write_text(f"{client_key}\n")
    make_host_key(ssh)


def sshd_config(*, sftp: bool) -> str:
    """The settings of a host's SSH server; the limits of connections and sessions are its own defaults."""
    return _SSHD + (_SFTP if sftp else "")


def make_host_key(folder: Path) -> None:
    """A new key of the SSH server in its /etc/ssh, in place of the one that is there."""
    for old in folder.glob(f"{_HOST_KEY}*"):
        old.unlink()
    SshPerson.create(folder, _HOST_KEY)
