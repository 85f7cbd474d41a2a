"""The one command that looks at a host, run for real on a PATH of the test's own."""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath

import pytest

from controller.host_facts import HostFacts, facts_of, parsed, script
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from tests.support.scripted_host import Programs, ScriptedHost

DOCKER = """
case "$*" in
  *"version --format"*) echo "29.1.0 1.52";;
  *"compose version"*) echo 5.0.1;;
  *"info --format"*) echo /;;
  *" ps "*) echo "shop-prod-web-1 0.0.0.0:80->80/tcp";;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "bin")


def look(programs: Programs, root: Path, *, domain: str | None = None) -> HostFacts:
    host = ScriptedHost("app-1", programs)
    found = asyncio.run(
        facts_of(
            host,
            root=PurePosixPath(root),
            engine_socket="/var/run/docker.sock",
            clock=SystemClock(),
            domain=domain,
        )
    )
    assert host.runs == 1
    return found


def test_one_command_tells_what_is_there(programs: Programs, tmp_path: Path) -> None:
    programs.put("docker", DOCKER)
    programs.put("timedatectl", "echo yes")
    programs.put("apt-get", "true")
    facts = look(programs, tmp_path, domain="localhost")
    assert (facts.server, facts.api, facts.compose, facts.data_root) == ("29.1.0", "1.52", "5.0.1", "/")
    assert facts.ours == ("shop-prod-web-1 0.0.0.0:80->80/tcp",)
    assert (facts.synchronised, facts.apt, facts.curl) == (True, True, False)
    assert set(facts.disks) >= {"/", "root", "data", "shm"}
    assert facts.disks["/"].total > facts.disks["/"].free > 0
    assert (facts.root, facts.root_writable) == ("folder", True)
    assert "net/ipv4/ip_local_port_range" in facts.sysctls
    assert len(facts.sysctls["net/ipv4/ip_local_port_range"]) == 2
    assert {"127.0.0.1", "::1"} & set(facts.addresses)
    assert facts.ahead == 0.0
    assert not [call for call in programs.called if "apt-get" in call]


def test_a_bare_machine_tells_what_it_lacks(programs: Programs, tmp_path: Path) -> None:
    facts = look(programs, tmp_path / "not" / "there")
    assert (facts.client, facts.server, facts.data_root, facts.synchronised) == (False, "", "", None)
    assert (facts.root, facts.root_writable) == ("missing", True)
    assert not (tmp_path / "not").exists()


def test_an_engine_that_does_not_answer_its_client_is_told_in_its_words(
    programs: Programs, tmp_path: Path
) -> None:
    programs.put("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    facts = look(programs, tmp_path)
    assert (facts.client, facts.server) == (True, "")
    assert "Cannot connect to the Docker daemon" in facts.trouble


def test_a_client_that_may_ask_as_root_alone_is_asked_so(programs: Programs, tmp_path: Path) -> None:
    programs.put("docker", f'[ -n "$BY_SUDO" ] || exit 1\n{DOCKER}')
    programs.put("sudo", 'shift; BY_SUDO=1 exec "$@"')
    facts = look(programs, tmp_path)
    assert (facts.server, facts.sudo) == ("29.1.0", True)


def test_a_file_in_the_place_of_the_folder_is_seen(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert look(programs, tmp_path / "file").root == "other"


def test_words_of_the_operator_stay_words() -> None:
    text = script(
        root=PurePosixPath("/x; ROOT $(id)"), engine_socket="/s SOCKET", domain="a'; reboot; '"
    ).decode()
    assert "'/x; ROOT $(id)'" in text
    assert "H='unix:///s SOCKET'" in text
    assert """getent ahosts 'a'"'"'; reboot; '"'"''""" in text


def test_a_host_that_breaks_off_is_an_error_with_its_words(programs: Programs, tmp_path: Path) -> None:
    programs.hide("sh")
    with pytest.raises(OutsideError) as caught:
        look(programs, tmp_path)
    assert caught.value.code == "host-look-failed"
    assert "sh: not found" in caught.value.why


@pytest.mark.parametrize(
    ("first", "last", "ahead"),
    [
        (1000.0, 1002.0, 0.0),
        (1600.0, 1602.0, 598.0),
        (400.0, 402.0, -600.0),
        (999.2, 1001.0, 0.0),
    ],
)
def test_how_far_a_clock_is_off_is_what_a_round_trip_cannot_explain(
    first: float, last: float, ahead: float
) -> None:
    told = f"now={first}\nlater={last}\n"
    assert parsed(told, sent=1000.0, back=1004.0).ahead == ahead


def test_what_is_no_fact_is_passed_over() -> None:
    facts = parsed(
        "noise\ndisk./=x y\ndisk.root=10 5\nlistens=0050\nlistens=zz\nnofile=unlimited\nnow=soon\n",
        sent=0,
        back=1,
    )
    assert set(facts.disks) == {"root"}
    assert facts.disks["root"].percent_free == 50.0
    assert (facts.listening, facts.nofile, facts.ahead) == (frozenset({80}), None, None)
