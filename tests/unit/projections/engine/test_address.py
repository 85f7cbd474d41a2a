"""Where an engine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from projections.engine.address import EngineAddress


def test_without_a_word_it_is_the_local_socket() -> None:
    address = EngineAddress.chosen(None)
    assert (address.url, address.local) == ("unix:///var/run/docker.sock", True)
    assert address.variables == {"DOCKER_HOST": "unix:///var/run/docker.sock"}


def test_the_environment_says_where_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "DOCKER_HOST": "tcp://e.example.org:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/certs",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    address = EngineAddress.chosen(None)
    assert (address.variables, address.local) == (variables, False)
    assert EngineAddress.chosen("unix:///run/d.sock").variables == {"DOCKER_HOST": "unix:///run/d.sock"}


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "")
    assert EngineAddress.chosen(None).local


def test_knocking_where_nobody_listens_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EngineAddress(url=f"unix://{tmp_path}/nobody.sock").knock(seconds=1)
    EngineAddress(url="tcp://192.0.2.1:2375").knock(seconds=1)


def test_a_machine_elsewhere_is_known_by_its_name() -> None:
    assert EngineAddress(url="tcp://192.0.2.1:2375").machine(name="n1") == "name:n1"
