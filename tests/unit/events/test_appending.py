"""What an append id stands for."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from events.appending import fingerprint
from events.log import StreamAppend
from events.streams import StreamName
from tests.contract.event_log import WHEN, A, B, part, proposed

# Few letters and short texts, so that different requests often run together to the same text.
letters = st.text("ab", min_size=1, max_size=3)
events = st.tuples(letters, st.integers(1, 2), letters.map(str.encode))
requests = st.lists(st.tuples(letters, st.lists(events, min_size=1, max_size=3)), min_size=1, max_size=3)
Request = list[tuple[str, list[tuple[str, int, bytes]]]]


def parts(request: Request) -> list[StreamAppend]:
    return [
        StreamAppend(
            stream=StreamName(stream),
            events=tuple(
                replace(proposed(data, type_name=name), schema=schema) for name, schema, data in contents
            ),
        )
        for stream, contents in request
    ]


@given(requests, requests)
def test_different_requests_have_different_fingerprints(one: Request, two: Request) -> None:
    assert (fingerprint(parts(one)) == fingerprint(parts(two))) == (one == two)


def test_requests_that_run_together_to_one_text_are_told_apart() -> None:
    assert fingerprint(parts([("s", [("T", 1, b"x"), ("yT", 1, b"z")])])) != fingerprint(
        parts([("s", [("T", 1, b"xy"), ("T", 1, b"z")])])
    )


def test_ids_times_and_expectations_do_not_count() -> None:
    first = [part(A, b"1", b"2"), part(B, b"3")]
    again = [
        replace(
            one,
            expected=7,
            events=tuple(replace(event, id=uuid4(), time=WHEN.replace(year=2027)) for event in one.events),
        )
        for one in first
    ]
    assert fingerprint(first) == fingerprint(again)
    assert len(fingerprint(first)) == 32
