"""The hosts of the lab are hosts: nothing is shared between them, and users, engines and servers are real."""

from __future__ import annotations

import contextlib

from tests.support.images import TestImages
from tests.support.lab_hosts import Lab

ENGINE_NAME = "docker info --format '{{.Name}}'"


def test_each_host_is_a_machine_with_files_of_its_own(hosts: Lab) -> None:
    said = [hosts.ssh(name, "hostname; cat /etc/machine-id").split() for name in ("h1", "h2", "h3")]
    assert [name for name, _ in said] == ["h1", "h2", "h3"]
    assert len({machine for _, machine in said}) == 3

    hosts.ssh(
        "h1", "mkdir -p /var/lib/stagecraft && tee /var/lib/stagecraft/file /etc/platform </etc/hostname"
    )
    assert hosts.host("h1").path("/var/lib/stagecraft/file").read_text() == "h1\n"
    assert hosts.host("h1").path("/etc/platform").read_text() == "h1\n"
    assert not hosts.host("h2").path("/var/lib/stagecraft").exists()
    assert not hosts.host("h2").path("/etc/platform").exists()


def test_a_user_reaches_the_engine_by_group_by_sudo_or_not_at_all(hosts: Lab) -> None:
    assert hosts.ssh("h1", ENGINE_NAME) == "h1"
    assert hosts.ssh("h2", ENGINE_NAME, user="deploy") == "h2"
    assert hosts.ssh("h3", f"sudo -n {ENGINE_NAME}", user="operator") == "h3"
    assert "permission denied" in hosts.ssh("h3", ENGINE_NAME, user="operator")
    assert "permission denied" in hosts.ssh("h2", ENGINE_NAME, user="guest")
    assert "password is required" in hosts.ssh("h2", "sudo -n true", user="guest")
    assert "Compose" in hosts.ssh("h1", "docker compose version", user="guest")


def test_engines_share_nothing_but_the_registry(hosts: Lab) -> None:
    with contextlib.closing(hosts.host("h1").client()) as one:
        images = TestImages(one)
        made = images.web("v1")
        hosts.spread(one, made, names=["h3"])
        pushed = hosts.registry.push(one, made, "web", "v1")
        one.containers.run(made, detach=True, name="web")
    assert "No such" in hosts.ssh("h2", "docker inspect web")
    assert "No such" in hosts.ssh("h2", f"docker image inspect {made}")
    identify = "docker image inspect --format '{{.Id}}'"
    assert hosts.ssh("h2", f"docker pull -q {pushed} && {identify} {pushed}").endswith(images.image_id(made))
    assert hosts.ssh("h3", f"{identify} {made}") == images.image_id(made)


def test_hosts_reach_each_other_and_the_git_server(hosts: Lab) -> None:
    assert hosts.ssh("h1", "exec 3<>/dev/tcp/h2/22 && head -c 4 <&3") == "SSH-"
    server = f"{hosts.git.address}/{hosts.git.port}"
    assert hosts.ssh("h1", f"exec 3<>/dev/tcp/{server} && head -c 4 <&3") == "SSH-"
