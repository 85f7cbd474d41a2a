"""`version`."""

from __future__ import annotations

import json
from importlib.metadata import version

from tests.unit.cli.conftest import Call


def test_the_version_is_that_of_the_installed_distribution(call: Call) -> None:
    assert call("version").out == f"stagecraft {version('stagecraft')}\n"
    assert json.loads(call("version", "--json").out) == {"version": version("stagecraft")}
