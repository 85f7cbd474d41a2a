"""Why a container is there, and why a service runs as it does: the exchanges that its host made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from projections.views.why.answer import Answer, Subject
from projections.views.why.chain import origin, reasons, steps_of, whole
from projections.views.why.phrases import short
from projections.views.why.record import Record, Told
from projections.views.why.releases import because
from projections.views.why.standing import standing

_STEERED = frozenset({"ServiceStopped", "ServiceStarted", "ServiceRestarted"})  # by a person
_WAITING = frozenset({"DeployDeferred", "RenderFailed", "ImageAwaited"})  # what Git shows is not deployed


def explain_container(record: Record, subject: Subject, *, service: str) -> Answer:
    """Why a container is there, or was."""
    made = _newest(record, subject.id, key="new_ids") or _beside(record, subject.id)
    gone = _newest(record, subject.id, key="old_ids") or _withdrawn(record, subject.id)
    sentence = f"{short(subject.id)} of {service}"
    if made is None:
        went = steps_of(record, [gone]) if gone is not None else ()
        words = f"{sentence} went, and no event brought it: it was there before the log knew of it"
        return Answer(subject=subject, sentence=words, steps=went)
    reloads = _reloaded(record, made, container=subject.id)
    events = [*_brought(record, made, service=service), *_told_by(record, reloads, service=service)]
    left = gone is not None and gone.position > made.position
    if left and gone is not None:
        events += _went(record, gone)
    words = f"{sentence} came because {_reason_of(record, made)}{_reload_words(reloads)}"
    if left and gone is not None:
        again = " again, before the old one was touched" if gone.type == "ServiceWithdrawn" else ""
        words += f"; it went with {_release_of(gone)}{again}"
    elif missed := _missed_after(record, made):
        events += [*missed, *_around(record, missed[-1])]
        words += f"; a container of {service} was missing later, and the log does not say which"
    against = [] if left else standing(record)
    return Answer(
        subject=subject, sentence=words, steps=steps_of(record, events), because_not=reasons(record, against)
    )


def explain_service(record: Record, subject: Subject) -> Answer:
    """Why a service runs as it does, and why it does not run something newer."""
    placed = _placed(record, subject.id, host=subject.host)
    against = reasons(record, standing(record))
    waiting = next((f"; {one.text}" for one in against if one.event.type in _WAITING), "")
    if not placed:
        words = f"no container of {subject.id} ever came in {subject.environment}"
        newest = [one for one in record.environment if _renders(one, subject.id)][-1:]
        return Answer(subject=subject, sentence=words, steps=steps_of(record, newest), because_not=against)
    steered = _steered(record, subject.id, after=max(one.position for one in placed.values()))
    drains = _drains(record, subject.id, hosts=placed)
    events: list[Told] = [*drains]
    sentences = [f"{subject.id} is stopped by a person"] if _is_stop(steered) else list[str]()
    sentences += [f"a person holds requests to {one.data['name']} back" for one in drains]
    for host, one in sorted(placed.items()):
        events += _brought(record, one, service=subject.id)
        reloads = _reloaded(record, one)
        events += _told_by(record, reloads, service=subject.id)
        events += _left_alone(record, one)
        sentences.append(
            f"{_service_words(record, one, service=subject.id, host=host)}{_reload_words(reloads)}"
        )
    hosts = list(placed)
    alone = replace(subject, host=hosts[0]) if len(hosts) == 1 else subject
    return Answer(
        subject=alone,
        sentence="; ".join(sentences) + waiting,
        steps=steps_of(record, [*events, *steered]),
        because_not=against,
    )


def _steered(record: Record, service: str, *, after: int) -> list[Told]:
    """What a person last had done with the service since its containers came."""
    found = [
        one
        for one in record.environment
        if one.type in _STEERED and one.data["service"] == service and one.position > after
    ]
    return found[-1:]


def _drains(record: Record, service: str, *, hosts: Collection[str]) -> list[Told]:
    """What keeps new requests from the service, or from its containers on a host."""
    standing: dict[tuple[str, str], Told] = {}
    for one in record.environment:
        if one.type not in {"TrafficDrained", "TrafficUndrained"}:
            continue
        kind, name = one.data["kind"], one.data["name"]
        standing.pop((kind, name), None)
        about = name == service if kind == "service" else name in hosts
        if one.type == "TrafficDrained" and about:
            standing[kind, name] = one
    return list(standing.values())


def _is_stop(steered: list[Told]) -> bool:
    return any(one.type == "ServiceStopped" for one in steered)


def _service_words(record: Record, placed: Told, *, service: str, host: str) -> str:
    data = placed.data
    place = f"{service} on {host}"
    if placed.type == "ServiceReplaced" and not data["new_ids"]:
        return f"{place} was removed by {_release_of(placed)} because {_reason_of(record, placed)}"
    if placed.type in {"JobCompleted", "JobFailed"}:
        end = "ran to its end" if placed.type == "JobCompleted" else "failed"
        return f"{place} is a job that {end} because {_reason_of(record, placed)}"
    ids = ", ".join(short(one) for one in data.get("new_ids") or data["containers"])
    return f"by the log {place} is {ids}, which came because {_reason_of(record, placed)}"


def _renders(told: Told, service: str) -> bool:
    return told.type == "ManifestRendered" and any(
        service in names for names in told.data["services"].values()
    )


def _all(record: Record) -> list[Told]:
    """What can bring or take a container in the Releases of the record, in the order of the log."""
    kinds = {"ServiceAdopted", "JobCompleted", "JobFailed"}
    beside = [
        one for one in record.environment if one.type in kinds and one.data["release"] in record.releases
    ]
    own = [one for each in record.releases.values() for one in each if one.type == "ServiceReplaced"]
    return sorted([*beside, *own], key=lambda told: told.position)


def _newest(record: Record, container: str, *, key: str) -> Told | None:
    """The newest event that names the container as come (`new_ids`) or gone (`old_ids`)."""
    found = [
        one
        for one in _all(record)
        if container in one.data.get(key, ())
        or (key == "new_ids" and container in (*one.data.get("containers", ()), one.data.get("container")))
    ]
    return found[-1] if found else None


def _beside(record: Record, container: str) -> Told | None:
    """The start of a container that runs, or ran, beside an old one and has come for none yet."""
    return _named_by(record, "ServiceStartedBeside", "new_ids", container)


def _withdrawn(record: Record, container: str) -> Told | None:
    """The end of a container that never came for an old one."""
    return _named_by(record, "ServiceWithdrawn", "containers", container)


def _named_by(record: Record, kind: str, key: str, container: str) -> Told | None:
    found = [
        one
        for each in record.releases.values()
        for one in each
        if one.type == kind and container in one.data[key]
    ]
    return max(found, key=lambda one: one.position, default=None)


def _placed(record: Record, service: str, *, host: str | None) -> dict[str, Told]:
    """By host, the newest event that brought a container of the service or took the last one.

    One that somebody else removed is in no event, so an orphan that goes is the end whatever came before.
    """
    found: dict[str, Told] = {}
    alive: dict[str, set[str]] = {}
    for one in _all(record):
        if one.data["service"] != service or host not in {None, one.data["host"]}:
            continue
        here = alive.setdefault(one.data["host"], set())
        here.difference_update(one.data.get("old_ids", ()))
        here.update(one.data.get("new_ids", ()), one.data.get("containers", ()))
        gone = not here or one.data.get("reason") == "orphan"
        if one.type != "ServiceReplaced" or one.data["new_ids"] or gone:
            found[one.data["host"]] = one
    return found


def _release_of(told: Told) -> str:
    """The Release in which a container came or went."""
    found: str = told.data.get("release") or told.event.stream.partition("/")[2]
    return found


def _reason_of(record: Record, placed: Told) -> str:
    """Why a container came or went, as the end of a sentence."""
    release = _release_of(placed)
    request = record.request(release)
    cause = "no event asks for it" if request is None else because(record, request)
    match placed.data.get("reason"):
        case "drift":
            return f"the one before was not as deployed and was healed; {release}: {cause}"
        case "started" | "restarted" as steered:
            return f"a person had it {steered}; {release}: {cause}"
        case "restored":
            return f"{release} failed and the former version was brought back"
        case "orphan":
            return f"the project does not have it any more; {cause}"
        case _:
            return f"{cause} ({release})"


def _brought(record: Record, placed: Told, *, service: str) -> list[Told]:
    """The chain that ends with a container: its Release's, and what healing or a way back add."""
    release = _release_of(placed)
    events = [*whole(record, release, service=service), placed]
    request = record.request(release)
    if placed.data.get("reason") == "restored" and request is not None and request.data["previous"]:
        former = record.request(request.data["previous"])
        events += [] if former is None else [*origin(record, former), former]
    if placed.data.get("reason") == "drift":
        events += _around(record, placed)
    return events


def _reloaded(record: Record, placed: Told, *, container: str | None = None) -> Told | None:
    """The newest time that containers which came with `placed` were told of changed files by a signal."""
    found = [
        one
        for each in record.releases.values()
        for one in each
        if one.type == "ServiceReloaded"
        and one.position > placed.position
        and (one.data["host"], one.data["service"]) == (placed.data["host"], placed.data["service"])
        and container in {None, *one.data["containers"]}
    ]
    return max(found, key=lambda one: one.position, default=None)


def _told_by(record: Record, reload: Told | None, *, service: str) -> list[Told]:
    """The chain that ends with a reload."""
    return [] if reload is None else [*whole(record, _release_of(reload), service=service), reload]


def _reload_words(reload: Told | None) -> str:
    return "" if reload is None else f"; its files are those of {_release_of(reload)}"


def _around(record: Record, placed: Told) -> list[Told]:
    """The drift that a heal mended, and that it was."""
    host = placed.data["host"]
    drifts = [
        one
        for one in record.environment
        if one.type in {"DriftDetected", "DriftHealed"} and one.data["host"] == host
    ]
    before = [one for one in drifts if one.position < placed.position and one.type == "DriftDetected"]
    after = [one for one in drifts if one.position > placed.position and one.type == "DriftHealed"]
    return [*before[-1:], *after[:1]]


def _missed_after(record: Record, made: Told) -> list[Told]:
    """The first heal after a container came that brought one of its service in nobody's place."""
    found = [
        one
        for one in _all(record)
        if one.position > made.position
        and one.data.get("reason") == "drift"
        and (one.data["host"], one.data["service"]) == (made.data["host"], made.data["service"])
        and not one.data["old_ids"]
    ]
    return found[:1]


def _went(record: Record, gone: Told) -> list[Told]:
    """The end of a container, with the decision that it followed from."""
    request = record.request(_release_of(gone))
    drift = _around(record, gone)[:1] if gone.data.get("reason") == "drift" else []
    return [gone, *drift, *([] if request is None or drift else [request])]


def _left_alone(record: Record, placed: Told) -> list[Told]:
    """That a later Release completed without touching the service, so that it is part of it still."""
    release = _release_of(placed)
    deployed = record.deployed()
    verdict = None if deployed in {None, release} else record.verdict(deployed or "")
    later = verdict is not None and verdict.position > placed.position
    return [verdict] if verdict is not None and later else []
