"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.lab_hosts import Lab


@pytest.fixture
def hosts(lab_hosts: Lab) -> Iterator[Lab]:
    """The module's lab, healed after the test."""
    yield lab_hosts
    lab_hosts.heal()
