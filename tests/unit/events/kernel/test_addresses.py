"""Which addresses lead to their own machine alone."""

from __future__ import annotations

import pytest

from events.kernel.addresses import is_loopback


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.8.7", "::1", "[::1]", "0:0:0:0:0:0:0:1"])
def test_a_loopback_in_any_spelling(text: str) -> None:
    assert is_loopback(text)


@pytest.mark.parametrize("text", ["", "::", "10.0.0.12", "[2001:db8::1]", "localhost", "127.example"])
def test_what_others_may_reach_is_none(text: str) -> None:
    assert not is_loopback(text)
