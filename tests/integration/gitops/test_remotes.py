"""Files of other repositories, allowed and pinned: rendered as Compose renders them when they lie here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from events.kernel.compose_client import compose_client, compose_environment
from gitops.manifest import Draft
from tests.integration.gitops.remotes import Shelf, shelf
from tests.integration.gitops.renders import document_of, drafted
from tests.unit.gitops.trees import write

LIBRARY = {
    "compose.yml": """\
services:
  db:
    image: db:1
    env_file: db.env
    environment: {LEVEL: "${LEVEL:-none}"}
    volumes: ["./conf:/conf", "./more/one.txt:/one.txt:ro", "named:/named"]
    configs: [greeting]
configs: {greeting: {file: more/one.txt}}
volumes: {named: {}}
""",
    "db.env": "A=from the library\n",
    "conf/db.conf": "listen = 1\n",
    "more/one.txt": "one\n",
    "base.yml": "services: {app: {image: app:1, env_file: [db.env], volumes: ['./conf:/etc/app']}}\n",
    "nested/compose.yaml": "include: [../compose.yml]\nservices: {s: {image: s:1, env_file: ../db.env}}\n",
}


GREETING = "configs: {greeting: {file: own.env}}\n"


@pytest.fixture
def served(tmp_path: Path) -> Generator[Shelf]:
    with shelf(tmp_path) as made:
        yield made


def same_here(folder: Path, compose: str, files: dict[str, str]) -> Draft:
    """The Draft with the library's files in the folder `lib` of the project itself."""
    local = {f"lib/{path}": content for path, content in LIBRARY.items()}
    return drafted(folder, {**local, **files, "compose.yaml": compose})


def seen(made: Draft) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What runs, with what is mounted by content."""
    return document_of(made), made.blobs


@pytest.mark.parametrize(
    "compose",
    [
        "include: ['REF:compose.yml']\nservices: {web: {image: web:1, depends_on: [db]}}\n",
        'include: ["REF"]\n',
        "include:\n  - REF:compose.yml\n",
        "include:\n  - path: REF:compose.yml\n    env_file: own.env\n",
        "include:\n  - path: [REF:compose.yml, own.yml]\n",
        "include: ['REF:nested']\n",
        "services: {web: {extends: {file: 'REF:base.yml', service: app}}}\n",
        "services: {web: {extends: {file: 'REF:compose.yml', service: db}}}\nvolumes: {named: {}}\n"
        + GREETING,
    ],
)
def test_what_is_named_is_rendered_as_if_it_lay_here(served: Shelf, tmp_path: Path, compose: str) -> None:
    commit = served.library(LIBRARY)
    own = {"own.env": "LEVEL=mine\n", "own.yml": "services: {db: {environment: {MORE: '1'}}}\n"}
    remote = served.drafted({**own, "compose.yaml": compose.replace("REF", f"{served.url}#{commit}")})
    local = compose.replace("REF:", "lib/").replace("REF", "lib/compose.yml")
    local = local.replace("lib/nested", "lib/nested/compose.yaml")
    assert seen(remote) == seen(same_here(tmp_path / "local", local, own))


def test_it_equals_what_compose_itself_says_of_the_same_files(served: Shelf, tmp_path: Path) -> None:
    commit = served.library(LIBRARY)
    made = served.drafted({"compose.yaml": f"include: ['{served.url}#{commit}:compose.yml']\n"})
    folder = tmp_path / "by hand"
    write(folder, {**LIBRARY, "top.yaml": "include: [./compose.yml]\n"})
    done = subprocess.run(
        [
            compose_client(),
            "--file",
            "top.yaml",
            "--project-name",
            "hello-prod",
            "config",
            "--format",
            "json",
        ],
        cwd=folder,
        env=compose_environment(tmp_path),
        check=True,
        capture_output=True,
        timeout=60,
    )
    expected: dict[str, Any] = json.loads(done.stdout)["services"]["db"]
    ours: dict[str, Any] = document_of(made)["services"]["db"]
    for key in ("image", "environment", "networks", "command", "entrypoint"):
        assert ours[key] == expected[key]
    binds = {one["target"]: one["source"] for one in expected["volumes"] if one["type"] == "bind"}
    assert binds.keys() | {"/named", "/greeting"} == {one["target"] for one in ours["volumes"]}
    assert sorted(made.blobs.values()) == [b"listen = 1\n", b"one\n"]
