"""The hosts of the lab are hosts: nothing is shared, faults are real and end, and nothing is left of them."""

from __future__ import annotations

import contextlib
import subprocess

from tests.support.images import TestImages
from tests.support.lab_hosts import Lab

SSH_SECONDS = 5


def ssh(lab: Lab, name: str, command: str, *, user: str = "root") -> str:
    """What a command printed that ran over SSH; the end of what went wrong begins with `no: `."""
    host = lab.host(name)
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(SSH_SECONDS),
        "IdentitiesOnly": "yes",
        "IdentityFile": str(lab.identity_file),
        "UserKnownHostsFile": str(lab.known_hosts),
    }
    words = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    done = subprocess.run(
        ["ssh", "-F", "none", *words, f"{user}@{host.address}", command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() if done.returncode == 0 else f"no: {done.stderr.strip()}"


def test_each_host_is_a_machine_of_its_own(lab_hosts: Lab) -> None:
    machines = {name: ssh(lab_hosts, name, "hostname; cat /etc/machine-id") for name in lab_hosts.hosts}
    assert [said.splitlines()[0] for said in machines.values()] == ["h1", "h2", "h3"]
    assert len({said.splitlines()[1] for said in machines.values()}) == 3

    ssh(lab_hosts, "h1", "mkdir -p /var/lib/stagecraft && echo one >/var/lib/stagecraft/file >/etc/platform")
    for name in ("h2", "h3"):
        assert "No such file" in ssh(lab_hosts, name, "ls /var/lib/stagecraft")
        assert "No such file" in ssh(lab_hosts, name, "cat /etc/platform")


def test_users_reach_the_engine_by_group_or_not_at_all(lab_hosts: Lab) -> None:
    assert ssh(lab_hosts, "h1", "docker info --format '{{.Name}}'") == "h1"
    assert ssh(lab_hosts, "h2", "docker info --format '{{.Name}}'", user="deploy") == "h2"
    assert "permission denied" in ssh(lab_hosts, "h2", "docker ps", user="guest")


def test_engines_are_separate_and_pull_from_the_registry(lab_hosts: Lab) -> None:
    with contextlib.closing(lab_hosts.host("h1").client()) as one:
        images = TestImages(one)
        made = images.web("v1")
        pushed = lab_hosts.registry.push(one, made, "web", "v1")
        one.containers.run(made, detach=True, name="web")
    assert "No such" in ssh(lab_hosts, "h2", "docker inspect web")
    assert f"docker.io/{made}" not in ssh(lab_hosts, "h2", f"docker pull {pushed}")
    lab_hosts.spread(lab_hosts.host("h1").client(), made, names=["h3"])
    assert ssh(lab_hosts, "h3", f"docker image inspect --format '{{{{.Id}}}}' {made}") == images.image_id(
        made
    )


def test_hosts_reach_each_other(lab_hosts: Lab) -> None:
    assert ssh(lab_hosts, "h1", "exec 3<>/dev/tcp/h2/22 && head -c 4 <&3") == "SSH-"


def test_a_cut_host_is_silent_until_it_is_healed(lab_hosts: Lab) -> None:
    host = lab_hosts.host("h2")
    host.cut()
    assert "no: " in ssh(lab_hosts, "h2", "true")
    host.heal()
    assert ssh(lab_hosts, "h2", "echo back") == "back"
