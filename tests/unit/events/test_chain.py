"""The digests of a row and the chain they make."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from events.chain import DIGEST_BYTES, Chained, chained, genesis, leaf, link

GENESIS = genesis(log_id="a" * 32, lineage="b" * 32)
ROW: dict[str, Any] = {
    "previous": GENESIS,
    "position": 7,
    "event_id": bytes(range(16)),
    "stream": "environment/shop",
    "version": 3,
    "type_name": "DeployRequested",
    "schema": 1,
    "at_us": 1_700_000_000_000_000,
    "actor": "user:ana",
    "correlation": bytes(16),
    "causation": None,
    "data": b'{"a":1}',
}


def digests(**changed: object) -> Chained:
    """The digests of the row with some columns changed."""
    values: dict[str, Any] = {**ROW, **changed}
    return chained(**values)


def test_the_digests_of_a_row_never_change() -> None:
    # Written down once: a log of today must verify with every Stagecraft to come.
    assert GENESIS.hex() == "17ade690a0421440b770fb3377f15bc624b83258c2a526ece19c9260ee3296bb"
    row = digests()
    assert row.data_hash == sha256(b'{"a":1}').digest()
    assert row.leaf.hex() == "2b1b556ff1884fb637b088fd3fa45d269708734cf0350062356ba3950d98d816"
    assert row.hash.hex() == "e2e98650f0ef122aaf9301fc79b3f6936e34718eae033efdcbb25697a97ebce3"


def test_the_genesis_tells_two_logs_apart() -> None:
    others = {
        genesis(log_id="c", lineage="b"),
        genesis(log_id="b", lineage="c"),
        genesis(log_id="cb", lineage=""),
        genesis(log_id="", lineage="cb"),
    }
    assert len(others) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"position": 8},
        {"event_id": bytes(16)},
        {"stream": "environment/shop2"},
        {"version": 4},
        {"type_name": "DeployRequeste"},
        {"schema": 2},
        {"at_us": -1},
        {"correlation": b"\x01" * 16},
        {"causation": bytes(16)},
        {"causation": b""},
    ],
)
def test_a_column_of_the_envelope_changes_the_leaf_and_not_the_digest_of_the_data(
    changed: dict[str, Any],
) -> None:
    row, other = digests(), digests(**changed)
    assert other.data_hash == row.data_hash
    assert other.leaf != row.leaf
    assert other.hash != row.hash


def test_data_change_all_three_digests() -> None:
    row, other = digests(), digests(data=b'{"a":2}')
    assert other.data_hash != row.data_hash
    assert other.leaf != row.leaf
    assert other.hash != row.hash


def test_the_actor_changes_the_hash_alone() -> None:
    row, other = digests(), digests(actor="user:bob")
    assert other == row._replace(hash=other.hash)
    assert other.hash != row.hash


def test_the_row_before_changes_the_hash_alone() -> None:
    row, other = digests(), digests(previous=bytes(DIGEST_BYTES))
    assert other == row._replace(hash=other.hash)
    assert other.hash != row.hash


def test_bytes_that_move_from_one_column_to_the_next_are_seen() -> None:
    assert digests(stream="ab", type_name="c").leaf != digests(stream="a", type_name="bc").leaf
    shifted = digests(event_id=bytes(range(15)), stream="\x0fenvironment/shop")
    assert shifted.leaf != digests().leaf


def test_a_leaf_can_be_reckoned_from_the_digest_of_data_that_are_gone() -> None:
    row = digests()
    again = leaf(
        position=7,
        event_id=bytes(range(16)),
        stream=b"environment/shop",
        version=3,
        type_name=b"DeployRequested",
        schema=1,
        at_us=1_700_000_000_000_000,
        correlation=bytes(16),
        causation=None,
        data_hash=row.data_hash,
    )
    assert again == row.leaf
    assert link(GENESIS, again, b"user:ana") == row.hash
