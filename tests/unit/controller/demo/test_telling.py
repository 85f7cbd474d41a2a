"""What of the controller's lines the demo shows."""

from __future__ import annotations

import pytest

from controller.demo.telling import told


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-21T06:00:00Z main is at 832d1b1bf8dd", "main is at 832d1b1bf8dd"),
        ("2026-11-21T06:00:00Z shop/prod local: replace web (changed) 1eab607ca443", None),
        ("2026-11-21T06:00:00Z shop/prod local web: replace (changed)", "web: replace (changed)"),
        ("2026-11-21T06:00:00Z shop/prod local: wait for web", "wait for web"),
        ("2026-11-21T06:00:00Z shop/prod local: bring back what ran", "bring back what ran"),
        (
            "2026-11-21T06:00:00Z shop/prod: rollout   local  1.6 s  new web",
            "rollout   local  1.6 s  new web",
        ),
        ("2026-11-21T06:00:00Z shop/prod: finalize  local  0.0 s  verified", None),
        ("2026-11-21T06:00:00Z fetching main at 832d1b1bf8dd", None),
        ("2026-11-21T06:00:00Z shop/prod: rendering 832d1b1bf8dd", None),
        ("2026-11-21T06:00:00Z shop/prod: rel-20261121-060000000, rolled_back, exited: service web", None),
        ("2026-11-21T06:00:00Z shop/prod: rel-1 rolled back after 2 s", "rel-1 rolled back after 2 s"),
        ("  ", None),
        ("error: something nobody foresaw", "error: something nobody foresaw"),
    ],
)
def test_a_line_of_the_controller(line: str, shown: str | None) -> None:
    assert told(line, environment="shop/prod") == shown
