"""Our packages have plain names, and another distribution could own one of them too.

pip installs two owners of one folder over each other without a word. Only a look at what is installed finds
it, so this test looks; docs/adr/0001-flat-packages.md tells why the names are plain all the same.
"""

from __future__ import annotations

from importlib.metadata import packages_distributions

import pytest

ROOMS = ("cli", "controller", "events", "gitops", "projections")


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_distribution_owns_a_room(room: str) -> None:
    assert set(packages_distributions().get(room, [])) <= {"stagecraft"}
