"""A controller has all of its program from the start."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from controller.late import LATE, import_late

ROOT = Path(__file__).parents[3]
ROOMS = ("controller", "events", "gitops", "projections")
WITH_THE_ENGINE = {"docker", "requests", "urllib3"}  # `docker_client` brings them


def imported_inside_functions() -> Iterator[str]:
    """Modules that are not the standard library's and are imported when a function runs."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if path != ROOT / "controller" / "bootstrap.py":
                yield from _inside(ast.parse(path.read_text(encoding="utf-8")))


def _inside(module: ast.Module) -> Iterator[str]:
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for one in ast.walk(function):
                if isinstance(one, ast.Import):
                    yield from (alias.name for alias in one.names)
                elif isinstance(one, ast.ImportFrom) and one.module is not None:
                    yield one.module


def test_all_that_functions_import_is_on_the_list() -> None:
    found = {one for one in imported_inside_functions() if one.split(".")[0] not in sys.stdlib_module_names}
    assert {one for one in found if one.split(".")[0] not in WITH_THE_ENGINE} == set(LATE)


def test_the_list_can_be_imported() -> None:
    import_late()
    assert sys.modules.keys() >= {*LATE, *WITH_THE_ENGINE}
