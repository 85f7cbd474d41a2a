"""Each fault of the lab is what it is called, and ends."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import signal
import socket
import time

import pytest
from docker.client import DockerClient
from requests.exceptions import ReadTimeout

from tests.support.images import TestImages
from tests.support.lab_host import LabHost
from tests.support.lab_hosts import Lab
from tests.support.processes import wait_until

DELAY_MILLISECONDS = 70
SHORT_SECONDS = 1


def connect_seconds(host: LabHost) -> float:
    """How long it takes until the SSH server has said its first word."""
    before = time.monotonic()
    with socket.create_connection((str(host.address), 22), timeout=30) as connection:
        connection.recv(4)
    return time.monotonic() - before


def test_a_cut_host_is_silent_until_it_is_healed(hosts: Lab) -> None:
    hosts.host("h2").cut()
    assert "no: " in hosts.ssh("h2", "true", connect_seconds=1)
    assert hosts.ssh("h3", "echo here") == "here"
    hosts.host("h2").heal()
    assert hosts.ssh("h2", "echo back") == "back"


def test_a_slow_host_takes_its_time_and_loses_nothing(hosts: Lab) -> None:
    host = hosts.host("h1")
    host.slow(DELAY_MILLISECONDS)
    assert connect_seconds(host) >= 3 * DELAY_MILLISECONDS / 1000
    content = os.urandom(1 << 20)
    host.path("/tmp/content").write_bytes(content)  # noqa: S108  # of the host alone
    assert base64.b64decode(hosts.ssh("h1", "base64 /tmp/content")) == content
    host.heal()
    wait_until("a fast host", lambda: connect_seconds(host) < 2 * DELAY_MILLISECONDS / 1000)


def test_a_frozen_engine_hangs_and_its_neighbour_does_not(hosts: Lab) -> None:
    hosts.host("h1").freeze_engine()
    with (
        contextlib.closing(
            DockerClient(base_url=hosts.host("h1").engine_url, timeout=SHORT_SECONDS, version="1.41")
        ) as client,
        pytest.raises(ReadTimeout),
    ):
        client.ping()
    assert hosts.ssh("h2", "docker info --format '{{.Name}}'") == "h2"
    hosts.host("h1").thaw()
    assert hosts.ssh("h1", "docker info --format '{{.Name}}'") == "h1"


def test_a_killed_engine_leaves_its_containers(hosts: Lab) -> None:
    host = hosts.host("h1")
    with contextlib.closing(host.client()) as client:
        client.containers.run(
            TestImages(client).web(), detach=True, name="survivor", restart_policy={"Name": "always"}
        )
    host.kill_engine(signal.SIGKILL)
    assert "Cannot connect" in hosts.ssh("h1", "docker ps")
    host.start_engine()
    wait_until("the container", lambda: "survivor" in hosts.ssh("h1", "docker ps"), seconds=30)


def test_a_host_without_an_engine_has_none_of_its_programs(hosts: Lab) -> None:
    hosts.host("h3").uninstall_engine()
    assert "no: " in hosts.ssh("h3", "command -v docker || command -v dockerd")
    assert hosts.ssh("h2", "command -v dockerd")
    hosts.host("h3").install_engine()
    assert hosts.ssh("h3", "docker info --format '{{.Name}}'") == "h3"


def test_a_frozen_ssh_server_takes_connections_and_says_nothing(hosts: Lab) -> None:
    host = hosts.host("h2")
    host.freeze_ssh()
    with socket.create_connection((str(host.address), 22), timeout=SHORT_SECONDS) as connection:
        with pytest.raises(TimeoutError):
            connection.recv(4)
        host.thaw()
        connection.settimeout(30)
        assert connection.recv(4) == b"SSH-"


def test_a_stopped_ssh_server_cuts_its_connections(hosts: Lab) -> None:
    host = hosts.host("h2")
    with socket.create_connection((str(host.address), 22), timeout=30) as connection:
        assert connection.recv(100)
        host.stop_ssh()
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(1000):
                pass
    assert "Connection refused" in hosts.ssh("h2", "true")
    host.start_ssh()
    assert hosts.ssh("h2", "echo back") == "back"


def test_a_host_may_have_no_sftp(hosts: Lab) -> None:
    assert "Remote working directory" in hosts.ssh("h2", "pwd\n", program="sftp")
    hosts.host("h2").set_sftp(yes=False)
    assert "no: " in hosts.ssh("h2", "pwd\n", program="sftp")
    hosts.host("h2").set_sftp(yes=True)
    assert "Remote working directory" in hosts.ssh("h2", "pwd\n", program="sftp")


def test_a_new_host_key_is_a_changed_one_until_it_is_learnt(hosts: Lab) -> None:
    hosts.host("h3").new_host_key()
    assert "IDENTIFICATION HAS CHANGED" in hosts.ssh("h3", "true")
    hosts.learn_keys()
    assert hosts.ssh("h3", "echo known") == "known"


def test_a_full_disk_is_full_for_files_and_for_the_engine(hosts: Lab) -> None:
    host = hosts.host("h1")
    host.fill()
    assert os.strerror(errno.ENOSPC) in hosts.ssh("h1", "echo much >/var/lib/much")
    assert "no space left" in hosts.ssh("h1", "tar -c /bin/busybox | docker import - much")
    host.fill(leave_bytes=1 << 20)
    assert hosts.ssh("h1", "echo little >/var/lib/much && cat /var/lib/much") == "little"
    assert hosts.ssh("h2", "echo much >/var/lib/much && cat /var/lib/much") == "much"


def test_a_clock_is_off_for_those_who_ask_for_the_date(hosts: Lab) -> None:
    hosts.host("h1").clock_off(600)
    off = int(hosts.ssh("h1", "date +%s")) - int(hosts.ssh("h2", "date +%s"))
    assert 500 < off < 700
    hosts.host("h1").clock_off(0)
    assert abs(int(hosts.ssh("h1", "date +%s")) - time.time()) < 100
