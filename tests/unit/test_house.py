"""Rules of the checkout that no other tool watches.

Each test reads the files that Git would commit: what it tracks, and what is new and not ignored.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("cli", "controller", "events", "gitops", "projections")
LOCKS = ("requirements.txt", "requirements-dev.txt")
# Written in two parts so that this file does not break its own rule.
REGISTRY_HOSTS = (
    "pypi" + ".org",
    "files.pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "deb.debian" + ".org",
    "security.debian" + ".org",
    "registry-1." + "docker.io",
)
CARRIERS_OF_MORE = re.compile(
    r"^\s*(--(extra-)?index-url|--find-links|--trusted-host|-e |-r )|file:|://", re.MULTILINE
)


def committed_files() -> list[Path]:
    """What is in the next commit; a file that was deleted and not yet staged is left out."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in sorted(set(names.split("\0")) - {""}) if (ROOT / name).is_file()]


def python_modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def requirement_blocks(lock: str) -> list[str]:
    """Each requirement of a lock file with its continuation lines."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return [block for block in re.split(r"\n(?=\S)", text.strip()) if block]


def names_in(lock: str) -> set[str]:
    return {re.split(r"[=\[ ]", block)[0] for block in requirement_blocks(lock)}


@pytest.mark.parametrize("host", REGISTRY_HOSTS)
def test_no_committed_file_names_a_registry(host: str) -> None:
    naming = [path for path in committed_files() if host.encode() in path.read_bytes()]
    assert not naming


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_exact_and_has_hashes(lock: str) -> None:
    blocks = requirement_blocks(lock)
    assert len(blocks) > 10
    loose = [
        block for block in blocks if not re.search(r"^\S+==\S+.*\\\n\s+--hash=sha256:[0-9a-f]{64}", block)
    ]
    assert not loose


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_file_says_where_packages_come_from(lock: str) -> None:
    assert not CARRIERS_OF_MORE.findall((ROOT / lock).read_text())


def test_the_development_lock_holds_the_runtime_lock() -> None:
    assert set(requirement_blocks("requirements.txt")) <= set(requirement_blocks("requirements-dev.txt"))


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", text.lower())[0] for text in project["dependencies"]}
    assert declared <= names_in("requirements.txt")


def test_no_lock_of_another_tool_is_committed() -> None:
    assert not [path for path in committed_files() if path.name in {"uv.lock", "poetry.lock", "pdm.lock"}]


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in python_modules(*ROOMS, "tests")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [path for path in committed_files() if path.suffix == ".md"]
    named = {
        target
        for page in pages
        for target in re.findall(r"(?:`|^\s*)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"setup", "test"} <= named
    assert named <= targets


def test_the_kernel_imports_the_standard_library_and_itself_only() -> None:
    foreign = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_modules("events/kernel")
        for name in imported_names(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("events.kernel")
    }
    assert not foreign


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_every_module_that_says_something_says_first_what_it_is_for() -> None:
    texts = {path: path.read_text() for path in python_modules(*ROOMS, "tests")}
    assert not [path for path, text in texts.items() if text and not ast.get_docstring(ast.parse(text))]
