"""Every event class: its name, its description, its way through the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from events.catalog import Event, Failure, Unrecognised, decode, event_classes, propose
from events.catalog.base import recorded
from events.catalog.environment import EnvironmentSuspended
from events.envelope import CONTROLLER, ProposedEvent, StoredEvent
from events.kernel.canonical import canonical_json
from events.kernel.errors import InternalError, OutsideError, StagecraftError, UserError, Where, error_code
from events.log import StreamAppend
from events.manifest import ImagePin
from events.memory import MemoryEventLog
from events.streams import StreamName
from tests.support.time import CountingIds, FakeClock

CLASSES = event_classes()

# Names that logs of users carry: none of them ever goes or changes; new ones are added here.
FROZEN = {
    "environment": (
        "ManifestRendered RenderFailed DeployRequested RevertDetected RollbackRequested DeploySkipped "
        "DeployDeferred ReleaseStarted ReleaseCompleted ReleaseFailed ReleaseRolledBack EnvironmentHeld "
        "HoldCleared EnvironmentSuspended EnvironmentResumed DriftDetected DriftHealed "
        "JobCompleted JobFailed ReleaseSuperseded LockBroken "
        "ServiceStopped ServiceStarted ServiceRestarted ContainerStateChanged "
        "PruneDeferred PruneConfirmed "
        "TrafficDrained TrafficUndrained WatchBegun WatchPassed WatchFailed WatchEnded"
    ),
    "release": (
        "PhaseStarted PhaseCompleted PhaseFailed PhaseSkipped ServiceReplaced ServiceReloaded "
        "ServiceStartedBeside ServiceWithdrawn "
        "TrafficSwitched ConnectionsDrained TrafficRestored RoutesTold"
    ),
    "repository": "RevisionObserved RevisionRejected HistoryRewritten EnvironmentLeftOut",
    "host": (
        "HostReached HostRebound HostUnreachable ImagesForgotten HostDeclared HostKeyAccepted "
        "HostBootstrapped"
    ),
    "log": "SealMade SealKeyMade SealKeyRotated SealDeliveryFailed SealDeliveryResumed LogForked",
}

MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))


def instances(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """Objects of a model with arbitrary values in all fields."""
    fields = {name: values_of(field.annotation) for name, field in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(model.model_validate)


def values_of(annotation: Any) -> st.SearchStrategy[object]:  # noqa: ANN401  # whatever stands behind the colon
    """Arbitrary values of a type."""
    found: st.SearchStrategy[object] = st.from_type(annotation)
    return found


st.register_type_strategy(datetime, MOMENTS)
for nested in (ImagePin, Failure):
    st.register_type_strategy(nested, instances(nested))


def dressed(event: Event) -> ProposedEvent:
    return propose(event, ids=CountingIds(), clock=FakeClock(), actor=CONTROLLER)


def stored(proposal: ProposedEvent) -> StoredEvent:
    (one,) = MemoryEventLog().append([StreamAppend(stream=StreamName("host/x"), events=(proposal,))])
    return one


@pytest.mark.parametrize("name", CLASSES)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(values=st.data())
def test_an_event_comes_back_from_the_log_as_it_was(name: str, values: st.DataObject) -> None:
    event = values.draw(instances(CLASSES[name]))
    assert isinstance(event, Event)
    proposal = dressed(event)
    assert (proposal.type, proposal.schema) == (name, CLASSES[name].SCHEMA)
    assert decode(stored(proposal)) == event
    assert canonical_json(json.loads(proposal.data)) == proposal.data


@pytest.mark.parametrize("kind", FROZEN)
def test_names_that_logs_carry_are_there_and_belong_to_their_streams(kind: str) -> None:
    for name in FROZEN[kind].split():
        assert kind == CLASSES[name].STREAM


@pytest.mark.parametrize("name", CLASSES)
def test_an_event_and_each_of_its_fields_says_what_it_is(name: str) -> None:
    cls = CLASSES[name]
    assert cls.__name__ == name
    assert (cls.__doc__ or "").endswith(".")
    for field, info in cls.model_fields.items():
        assert info.description, f"{name}.{field}"
        assert info.description.endswith((".", ")")), f"{name}.{field}"


def test_the_catalogue_is_sorted() -> None:
    assert list(CLASSES) == sorted(CLASSES)


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice: EnvironmentSuspended"):
        recorded("environment")(EnvironmentSuspended)


def test_only_events_of_the_catalogue_are_proposed() -> None:
    with pytest.raises(ValueError, match="not in the catalogue: Unrecognised"):
        dressed(Unrecognised())


def test_an_event_is_frozen() -> None:
    event = EnvironmentSuspended(reason="upgrade")
    with pytest.raises(ValidationError, match="frozen"):
        event.reason = "other"  # type: ignore[misc]  # the case


def unknown(type_name: str, data: bytes, *, schema: int = 9) -> StoredEvent:
    proposal = dressed(EnvironmentSuspended(reason="x"))
    return stored(
        ProposedEvent(
            id=proposal.id,
            type=type_name,
            schema=schema,
            time=proposal.time,
            actor=proposal.actor,
            correlation=proposal.correlation,
            causation=None,
            data=data,
        )
    )


def test_a_type_of_a_newer_stagecraft_is_passed_over() -> None:
    assert decode(unknown("SomethingNew", b'{"a":1}')) == Unrecognised()


def test_a_field_of_a_newer_stagecraft_is_passed_over() -> None:
    event = decode(unknown("EnvironmentSuspended", b'{"reason":"upgrade","new":1}'))
    assert event == EnvironmentSuspended(reason="upgrade")


def test_data_of_a_newer_schema_that_lack_what_is_needed_ask_for_an_upgrade() -> None:
    with pytest.raises(OutsideError) as caught:
        decode(unknown("EnvironmentSuspended", b'{"why":"upgrade"}'))
    assert caught.value.code == "event-too-new"
    assert "EnvironmentSuspended at position 1 has schema 9, this Stagecraft knows 1" in caught.value.message
    assert "upgrade" in caught.value.next


def test_data_that_do_not_fit_are_an_error() -> None:
    event = unknown("EnvironmentSuspended", b'{"why":"upgrade"}', schema=1)
    with pytest.raises(ValidationError):
        decode(event)


def test_a_proposal_begins_an_undertaking_or_goes_on_with_one() -> None:
    first = dressed(EnvironmentSuspended(reason="x"))
    assert (first.correlation, first.causation) == (first.id, None)
    correlation, causation = uuid4(), uuid4()
    second = propose(
        EnvironmentSuspended(reason="x"),
        ids=CountingIds(),
        clock=FakeClock(),
        actor=CONTROLLER,
        correlation=correlation,
        causation=causation,
    )
    assert (second.correlation, second.causation) == (correlation, causation)
    assert isinstance(second.id, UUID)
    assert second.time == FakeClock().now()


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(UserError, "repository"), (OutsideError, "outside"), (InternalError, "internal")],
)
def test_a_failure_says_what_the_error_said(kind: type[StagecraftError], cause: str) -> None:
    code = error_code("test-failure", "A code of this test.")
    where = Where(file="compose.yml", line=3, key="services.web", host="local", service="web")
    failure = Failure.from_error(kind(code, "It broke.", where=where, why="no route", next="try again"))
    assert failure == Failure.model_validate(
        {
            "code": "test-failure",
            "message": "It broke.",
            "cause": cause,
            "host": "local",
            "service": "web",
            "where": "compose.yml:3, key services.web",
            "why": "no route",
            "next": "try again",
        }
    )
