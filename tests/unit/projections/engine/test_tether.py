"""A restart of the engine between two questions is noticed, once, and an old connection proves nothing."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from projections.engine.tether import RENEWED_SECONDS, TRUSTED_SECONDS, Tether


@contextmanager
def _listening(path: Path) -> Generator[socket.socket]:
    """Something that takes connections at a socket, as an engine does."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield server


def test_an_engine_that_went_between_two_questions_is_lost_once(tmp_path: Path) -> None:
    tether = Tether(tmp_path / "engine")
    with _listening(tmp_path / "engine"):
        tether.renew(now=0)
        assert not tether.lost(now=1)
    with _listening(tmp_path / "engine"):
        assert tether.lost(now=2)
        assert not tether.lost(now=2)
        tether.renew(now=3)
        assert not tether.lost(now=4)
        tether.drop()


def test_a_connection_that_is_too_old_proves_nothing(tmp_path: Path) -> None:
    tether = Tether(tmp_path / "engine")
    with _listening(tmp_path / "engine"):
        tether.renew(now=0)
    assert not tether.lost(now=TRUSTED_SECONDS)


def test_it_is_renewed_before_an_engine_would_close_it(tmp_path: Path) -> None:
    tether = Tether(tmp_path / "engine")
    with _listening(tmp_path / "engine") as server:
        tether.renew(now=0)
        first, _ = server.accept()
        tether.renew(now=RENEWED_SECONDS - 1)
        tether.renew(now=RENEWED_SECONDS)
        second, _ = server.accept()
        assert first.recv(1) == b""
        first.close()
        second.close()
        assert tether.lost(now=RENEWED_SECONDS + 1)


def test_an_engine_elsewhere_or_one_that_is_gone_is_not_watched(tmp_path: Path) -> None:
    for path in (None, tmp_path / "nobody"):
        tether = Tether(path)
        tether.renew(now=0)
        assert not tether.lost(now=1)


def test_a_connection_that_went_with_the_way_there_proves_nothing(tmp_path: Path) -> None:
    tether = Tether(tmp_path / "engine")
    with _listening(tmp_path / "engine"):
        tether.renew(now=0, losses=3)
    assert not tether.lost(now=1, losses=4)
    with _listening(tmp_path / "engine"):
        tether.renew(now=2, losses=4)
    assert tether.lost(now=3, losses=4)
