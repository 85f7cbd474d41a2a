"""Adapters are wired when somebody first asks for one."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from controller.adapters import Adapters, LateAdapters
from controller.bootstrap import open_context
from controller.home import Home
from events.kernel.errors import OutsideError, error_code
from gitops.pins import ImageCatalogue
from projections.converge.converger import Converger
from projections.observed import ObservedStore

BROKEN = error_code("wiring-broken", "An adapter cannot be made; used by a test alone.")


class Wiring:
    """Makes adapters and counts what is asked of it."""

    def __init__(self) -> None:
        self.fails = False
        self.wired = 0
        self.closed = 0

    def __call__(self) -> Adapters:
        if self.fails:
            raise OutsideError(BROKEN, "it cannot be made", next="mend it")
        self.wired += 1
        return Adapters(
            catalogue=cast("ImageCatalogue", object()),
            converger=cast("Converger", object()),
            observed=cast("ObservedStore", object()),
            close=self.close,
        )

    def close(self) -> None:
        self.closed += 1


def test_nothing_is_wired_that_nobody_asks_for() -> None:
    wiring = Wiring()
    LateAdapters(wiring).close()
    assert (wiring.wired, wiring.closed) == (0, 0)


def test_they_are_wired_once_and_closed() -> None:
    wiring = Wiring()
    adapters = LateAdapters(wiring)
    assert adapters.wired is adapters.wired
    adapters.close()
    assert (wiring.wired, wiring.closed) == (1, 1)


def test_wiring_that_failed_is_tried_again() -> None:
    wiring = Wiring()
    wiring.fails = True
    adapters = LateAdapters(wiring)
    with pytest.raises(OutsideError):
        _ = adapters.wired
    adapters.close()
    wiring.fails = False
    assert adapters.wired is not None
    assert (wiring.wired, wiring.closed) == (1, 0)


def test_a_context_that_only_appends_makes_no_file_for_engines(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with open_context(home, progress=lambda _: None) as context:
        context.actors.name_of("nobody")
        assert context.log.head() == 0
    assert not home.observed_db.exists()
    assert home.known_binding_key() == b""
    with open_context(home, progress=lambda _: None) as context:
        assert context.converger.engines
        assert context.workshop is None
    assert home.known_binding_key() != b""
