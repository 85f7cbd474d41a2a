"""`hold` and `resume` work when the operator's settings do not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Call
from tests.unit.projections.views.history import History


def test_a_broken_controller_file_keeps_nobody_from_a_hold(call: Call, history: History, home: Path) -> None:
    history.deployed("a")
    (home / "controller.yml").write_text("policy: [")
    assert call("deploy", "--env", "prod").code == 1
    assert call("hold", "--env", "prod", "--reason", "a bad day").code == 0
    status = json.loads(call("status", "--env", "prod", "--json").out)
    assert status["hold"]["reason"] == "a bad day"
    assert call("resume", "--env", "prod").code == 0
    assert json.loads(call("status", "--env", "prod", "--json").out)["hold"] is None


def test_without_a_name_the_environments_that_there_are_are_listed(call: Call, history: History) -> None:
    assert "known environments" not in call("hold", "--reason", "calm").err
    history.deployed("a")
    history.environment = "dev"
    history.deployed("a")
    said = call("hold", "--reason", "calm")
    assert said.code == 1
    assert "error: environment-required: no environment was named" in said.err
    assert "why: known environments: shop/dev, shop/prod" in said.err
