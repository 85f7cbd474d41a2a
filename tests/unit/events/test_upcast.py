"""Schemas of events: each that ever was is readable for ever, and none changes unnoticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from events.catalog import Event, decode, event_classes
from events.catalog.service import ServiceReplaced
from events.envelope import CONTROLLER, ProposedEvent, StoredEvent
from events.kernel.canonical import canonical_json
from events.log import EventLog, StreamAppend
from events.memory import MemoryEventLog
from events.schemas import SCHEMAS, illegible
from events.sqlite import SqliteEventLog
from events.streams import release_stream
from events.upcast import STEPS, current, upcast
from tests.goldens.records import FOLDER, Golden, model_digest, read_goldens, record_new
from tests.support.time import CountingIds, FakeClock

CLASSES = event_classes()
GOLDENS = {golden.name: golden for golden in read_goldens()}
RECORD = "python -m tests.goldens"


def stored(log: EventLog, type_name: str, schema: int, data: dict[str, Any]) -> StoredEvent:
    ids = CountingIds()
    event_id = ids.event_id()
    proposed = ProposedEvent(
        id=event_id,
        type=type_name,
        schema=schema,
        time=FakeClock().now(),
        actor=CONTROLLER,
        correlation=event_id,
        causation=None,
        data=canonical_json(data),
    )
    log.append([StreamAppend(stream=release_stream("rel-1"), events=(proposed,))])
    return log.read()[-1]


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    opened: EventLog
    opened = MemoryEventLog() if request.param == "memory" else SqliteEventLog(tmp_path / "events.db")
    yield opened
    opened.close()


def test_the_table_of_schemas_is_that_of_the_classes() -> None:
    assert dict(SCHEMAS) == {name: cls.SCHEMA for name, cls in CLASSES.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_every_schema_that_ever_was_is_recorded(name: str) -> None:
    files = [f"{name}.{schema}.json" for schema in range(1, CLASSES[name].SCHEMA + 1)]
    missing = [file for file in files if file not in GOLDENS]
    assert not missing, f"{missing} are kept for ever in {FOLDER}; a new one is recorded by `{RECORD}`"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_does_not_change_without_a_new_schema(name: str) -> None:
    cls = CLASSES[name]
    assert model_digest(cls) == GOLDENS[f"{name}.{cls.SCHEMA}.json"].model, (
        f"{name} is another one than its schema {cls.SCHEMA} was: give it SCHEMA {cls.SCHEMA + 1}, also in "
        f"events/schemas.py, add the step from {cls.SCHEMA} to events/upcast.py, and run `{RECORD}`"
    )


def test_every_recorded_type_is_known() -> None:
    assert {golden.type for golden in GOLDENS.values()} == set(CLASSES)


def test_there_is_a_step_from_each_older_schema_and_no_other() -> None:
    assert set(STEPS) == {(name, old) for name, cls in CLASSES.items() for old in range(1, cls.SCHEMA)}


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=str)
def test_what_any_version_wrote_is_read_as_its_class(golden: Golden) -> None:
    cls = CLASSES[golden.type]
    for data in golden.examples.values():
        log = MemoryEventLog()
        event = stored(log, golden.type, golden.schema, data)
        assert type(decode(event)) is cls
        newest = json.loads(current(event).data)
        assert set(newest) <= set(cls.model_fields), "a step leaves a field that the class does not have"
        assert cls.model_validate(newest, extra="forbid") == decode(event)
        log.close()


@pytest.mark.parametrize("name", CLASSES)
def test_the_whole_example_is_what_is_written_today(name: str) -> None:
    data = GOLDENS[f"{name}.{CLASSES[name].SCHEMA}.json"].examples["whole"]
    assert CLASSES[name].model_validate(data).model_dump(mode="json") == data


def test_an_older_event_comes_from_the_log_in_the_newest_schema_and_is_stored_as_it_was(
    log: EventLog,
) -> None:
    data = GOLDENS["ServiceReplaced.1.json"].examples["in-seconds"]
    event = stored(log, "ServiceReplaced", 1, data)
    decoded = decode(event)
    assert isinstance(decoded, ServiceReplaced)
    assert (decoded.milliseconds, decoded.rollout) == (1234, "start-first")
    assert (event.schema, json.loads(event.data)) == (1, data)
    assert current(event).schema == 2
    assert log.read()[-1] == event


def test_what_was_told_in_the_new_words_already_stays() -> None:
    examples = GOLDENS["ServiceReplaced.1.json"].examples
    assert upcast("ServiceReplaced", 1, examples["in-milliseconds"]) == examples["in-milliseconds"]
    told = upcast("ServiceReplaced", 1, examples["first"])
    assert (told["milliseconds"], told["because"], told["rollout"]) == (None, [], None)


def test_a_release_of_a_time_without_switches_switched_nothing() -> None:
    for schema in (1, 2):
        for data in GOLDENS[f"ReleaseCompleted.{schema}.json"].examples.values():
            assert upcast("ReleaseCompleted", schema, data)["traffic"] is None


def test_a_step_leaves_its_argument_as_it_is() -> None:
    for (name, schema), step in STEPS.items():
        for data in GOLDENS[f"{name}.{schema}.json"].examples.values():
            before = canonical_json(data)
            step(data)
            assert canonical_json(data) == before


def test_an_event_of_the_newest_schema_is_given_as_it_is() -> None:
    log = MemoryEventLog()
    event = stored(log, "PhaseStarted", 1, {"phase": "build"})
    assert current(event) is event
    log.close()


@pytest.mark.parametrize(
    ("type_name", "schema", "why"),
    [
        ("PhaseStarted", 1, None),
        ("ServiceReplaced", 1, None),
        ("PhaseStarted", 2, "newer-schema"),
        ("ShipLaunched", 1, "unknown-type"),
    ],
)
def test_what_cannot_be_read_is_known_by_type_and_schema(
    type_name: str, schema: int, why: str | None
) -> None:
    log = MemoryEventLog()
    event = stored(log, type_name, schema, {"phase": "build"})
    assert illegible(event) == why
    assert current(event) is event or why is None
    log.close()


class _ShipLaunched(Event):
    """A class of this test."""

    SCHEMA: ClassVar[int] = 1
    name: str = Field(description="The ship.")


def test_a_new_class_is_recorded_and_a_recorded_one_never_again(tmp_path: Path) -> None:
    assert record_new({"_ShipLaunched": _ShipLaunched}, tmp_path) == ["_ShipLaunched.1.json"]
    file = tmp_path / "_ShipLaunched.1.json"
    file.write_text(file.read_text().replace('"name": "name"', '"name": "kept"'))
    assert record_new({"_ShipLaunched": _ShipLaunched}, tmp_path) == []
    (golden,) = read_goldens(tmp_path)
    assert golden.examples["whole"] == {"name": "kept"}


def test_the_digest_sees_a_field_a_default_and_a_word_of_a_choice_and_no_prose() -> None:
    class Other(Event):
        """Described in other words."""

        name: str = Field(description="Other words.")

    class Optional(Event):
        name: str = Field(default="", description="The ship.")

    class Titled(Event):
        name: str = Field(description="The ship.")
        title: str = Field(default="", description="A field whose name is a word of JSON Schema.")

    digest = model_digest(_ShipLaunched)
    assert model_digest(Other) == digest
    assert digest not in {model_digest(Optional), model_digest(Titled)}
    assert model_digest(Optional) != model_digest(Titled)
