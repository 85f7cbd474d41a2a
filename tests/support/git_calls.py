"""What git is asked: a program of that name that writes down each call and passes it on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def counted_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Put it into `PATH`; answers what git was asked by anybody since the last time, one line a process."""
    real, log, place = shutil.which("git"), folder / "git.log", folder / "bin"
    place.mkdir()
    program = place / "git"
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")

    def taken() -> list[str]:
        found = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [one for one in found if not one.startswith("upload-pack")]

    return taken
