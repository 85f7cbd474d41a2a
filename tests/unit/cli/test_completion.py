"""Completion as bash asks for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import COMMAND

ASK = """
COMP_WORDS=({words}); COMP_CWORD={index}
_stagecraft_completion stagecraft
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(script: str) -> str:
    """What a bash that finds the command on its PATH prints."""
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"},
    )
    return done.stdout


@pytest.mark.parametrize(
    ("words", "index", "found"),
    [
        ("stagecraft ro", 1, ["rollback"]),
        ("stagecraft lock ''", 2, ["show", "break"]),
        ("stagecraft logs --fo", 2, ["--follow"]),
    ],
)
def test_the_shown_completion_completes(words: str, index: int, found: list[str]) -> None:
    shown = "source <(stagecraft --show-completion)\n" + ASK.format(words=words, index=index)
    assert bash(shown).split() == found


def test_installing_puts_it_into_the_start_of_bash(isolated_home: Path) -> None:
    bash("stagecraft --install-completion; true")
    start = (isolated_home / ".bashrc").read_text()
    assert "stagecraft" in start
    asked = f"source {isolated_home}/.bashrc\n" + ASK.format(words="stagecraft ro", index=1)
    assert bash(asked).split() == ["rollback"]
