"""The wall around the Compose client, with the real client and the real kernel."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import UserError
from gitops.compose.client import Workshop, temporary
from gitops.compose.confine import Wall, find_wall, place


@pytest.fixture
def wall() -> Wall:
    found = find_wall(os.defpath)
    assert found is not None, "this machine allows no namespaces; the tests of the wall need them"
    return found


def config(workshop: Workshop, files: dict[str, bytes]) -> dict[str, Any]:
    """What the client makes of `compose.yaml`, with nothing looked at before it does."""
    workshop.put(files)
    options = ["--file", str(workshop.root / "compose.yaml"), "config", "--format", "json"]
    output = asyncio.run(workshop.config(project="p", variables={}, options=options, folder=""))
    return output.document


def test_a_file_outside_is_not_there_for_a_client_behind_the_wall(wall: Wall, tmp_path: Path) -> None:
    secret = tmp_path / "secret.env"
    secret.write_text("SECRET=1\n")
    files = {"compose.yaml": f"services: {{web: {{image: x, env_file: {secret}}}}}".encode()}
    with temporary() as folder:
        unguarded = config(Workshop(Path(folder)), files)
    assert unguarded["services"]["web"]["environment"] == {"SECRET": "1"}
    with temporary() as folder, pytest.raises(UserError, match="not found"):
        config(Workshop(Path(folder), wall), files)


def test_there_is_no_network_behind_the_wall(wall: Wall) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ask = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        command = [sys.executable, "-I", "-S", "-c", ask]
        assert subprocess.run(command, check=False, timeout=30).returncode == 0
        walled = subprocess.run(
            wall.around(Path("/"), command), check=False, timeout=30, capture_output=True, text=True
        )
    assert "unreachable" in walled.stderr


def test_the_document_is_the_same_with_and_without_a_wall(wall: Wall) -> None:
    files = {
        "compose.yaml": b"include: [a/b.yml]\nservices: {web: {image: x, env_file: e, volumes: ['./d:/d']}}",
        "a/b.yml": b"services: {db: {image: '$$x', volumes: ['../c:/c', 'v:/v']}}\nvolumes: {v: {}}",
        "e": b"A=1\n",
    }
    found: list[str] = []
    for one in (None, wall):
        with temporary() as folder:
            workshop = Workshop(Path(folder), one)
            found.append(str(config(workshop, files)).replace(str(workshop.root), "ROOT"))
    assert found[0] == found[1]


def test_without_the_program_there_is_no_wall(tmp_path: Path) -> None:
    assert find_wall(str(tmp_path)) is None


def test_the_client_is_a_second_name_of_the_same_file_where_that_can_be(tmp_path: Path) -> None:
    client = tmp_path / "client"
    client.write_bytes(b"x")
    assert place(client, tmp_path / "root") == "/bin/docker-compose"
    assert (tmp_path / "root/bin/docker-compose").samefile(client)
