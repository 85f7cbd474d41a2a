"""What became of a commit in an environment, and why it is not deployed when it is not."""

from __future__ import annotations

from projections.views.why.answer import Answer, Step, Subject
from projections.views.why.chain import decided, ended, reasons, steps_of, whole
from projections.views.why.phrases import short
from projections.views.why.record import Record, Told
from projections.views.why.releases import against, release_sentence
from projections.views.why.words import step


def explain_revision(record: Record, subject: Subject) -> Answer:
    """What became of a commit in an environment."""
    revision = subject.id
    own = [one for one in record.environment if one.revision == revision]
    releases = [one for one in record.requests() if one.data["revision"] == revision]
    looks = _looks(record, subject)
    if not releases:
        return _not_released(record, subject, own=own, looks=looks)
    first, newest = releases[0], releases[-1]
    events = [*looks[-1:], *whole(record, first.data["release"])]
    if newest is not first:
        events += [*decided(record, newest), *ended(record, newest.data["release"])]
    verdict = record.verdict(newest.data["release"])
    taken_back = [one for one in record.requests() if one.data.get("reverts") == newest.data["release"]]
    words = release_sentence(record, newest, verdict, later=taken_back)
    return Answer(
        subject=subject,
        sentence=f"{short(revision)}: {words}",
        steps=steps_of(record, [*events, *taken_back]),
        because_not=reasons(record, against(record, newest)),
    )


def _not_released(record: Record, subject: Subject, *, own: list[Told], looks: list[Told]) -> Answer:
    """A commit that no Release runs: the newest word about it decides, then whether another one came."""
    seen = next((one for one in reversed(looks) if one.type == "RevisionObserved"), None)
    last = _newest_word(own, looks)
    if last is None:
        reason = _unnamed(record, subject, seen)
    elif last.type == "ManifestRendered":
        reason = _undecided(record, last)
    else:
        reason = step(last, record.named)
    done = reason is not None and reason.rule in _NOTHING_TO_DO
    sentence = f"{short(subject.id)} {'needs no Release' if done else 'is not deployed'}"
    sentence += f" in {subject.environment}: {'no event names it' if reason is None else reason.text}"
    found = [] if reason is None else [reason]
    newer = None if done else _overtaken(record, seen, subject)
    if newer is not None:
        found.append(_because_of(newer, "overtaken", f"{short(newer.data['revision'])} came after it"))
        sentence += f"; {found[-1].text}"
    kept = [] if last is None else _kept_by(record, last)
    return Answer(
        subject=subject,
        sentence=sentence,
        steps=steps_of(record, [*looks, *own, *kept]),
        because_not=tuple(found),
    )


def _newest_word(own: list[Told], looks: list[Told]) -> Told | None:
    """What was said last of the commit: of the environment, or that the branch's commit is not taken.

    That is told to each environment as a render that failed; the rule is in the word itself.
    """
    rejected = looks[-1] if looks and looks[-1].type == "RevisionRejected" else None
    last = own[-1] if own else None
    if rejected is not None and (last is None or last.type == "RenderFailed"):
        return rejected
    return last


_NOTHING_TO_DO = frozenset({"already-deployed", "reverted", "same-inputs", "same-manifest", "not-declared"})


def _unnamed(record: Record, subject: Subject, seen: Told | None) -> Step | None:
    """Why no event of the environment names a commit that a watched branch showed."""
    if seen is None:
        return None
    if subject.environment in seen.data["affected"]:
        return _because_of(seen, "no-decision", "no look considered it, or it led to the Manifest before it")
    if (left_out := _left_out(record, seen, subject)) is not None:
        return step(left_out, record.named)
    declared = subject.environment in seen.data.get("declared", ())
    wanted = seen.data.get("wanted")
    if declared and wanted is not None and subject.environment not in wanted:
        return _because_of(seen, "not-wanted", "controller.yml deploys it from another branch, or from none")
    if declared:
        return _because_of(seen, "same-inputs", "it changes nothing that the environment is made from")
    return _because_of(seen, "not-declared", "its stagecraft.yml does not declare the environment")


def _undecided(record: Record, rendered: Told) -> Step:
    """Why nothing followed from a render: Git showed this very Manifest before, or nobody decided yet."""
    before: str | None = None
    for one in record.environment:
        if one.position < rendered.position and _says_what_git_shows(one):
            before = one.data["digest"]
    if before == rendered.data["digest"]:
        return _because_of(rendered, "same-manifest", "it leads to the same Manifest as the commit before it")
    return _because_of(rendered, "no-decision", "it was rendered and nothing is decided about it yet")


def _says_what_git_shows(told: Told) -> bool:
    return told.type in {"RevertDetected", "DeploySkipped", "DeployDeferred"} or (
        told.type == "DeployRequested" and told.data["trigger"] == "git"
    )


def _kept_by(record: Record, last: Told) -> list[Told]:
    """The hold or suspend that kept the commit, or that it ended, and what had made that."""
    words = {"contains-held-change": "EnvironmentHeld", "held": "EnvironmentHeld"}
    began = "EnvironmentHeld" if last.type == "HoldCleared" else words.get(last.data.get("rule", ""))
    if last.data.get("rule") == "suspended":
        began = "EnvironmentSuspended"
    earlier = [one for one in record.environment if one.position < last.position]
    kept = [one for one in earlier if one.type == began][-1:]
    causes = {one.event.causation_id for one in kept}
    return [*kept, *(one for one in earlier if one.event.event_id in causes)]


def _looks(record: Record, subject: Subject) -> list[Told]:
    """What the watched branches said of a commit, and of nobody else's environment."""
    return [
        one
        for one in record.sightings
        if one.revision == subject.id and one.data.get("environment") in {None, subject.environment}
    ]


def _left_out(record: Record, seen: Told, subject: Subject) -> Told | None:
    """That the environment belonged to another branch when the commit was seen; it is told once.

    A later commit of the branch that changes the environment shows that it is the branch's own since.
    """
    branch = (seen.event.stream, seen.data["ref"])
    told: Told | None = None
    for one in record.sightings:
        if (one.event.stream, one.data.get("ref")) != branch:
            continue
        if one.type == "EnvironmentLeftOut" and one.data["environment"] == subject.environment:
            told = one
        elif one.type == "RevisionObserved" and one.position <= seen.position:
            told = None if subject.environment in one.data["affected"] else told
    return told


def _overtaken(record: Record, seen: Told | None, subject: Subject) -> Told | None:
    """The first newer commit of the same branch that changes the environment."""
    if seen is None:
        return None
    newer = (
        one
        for one in record.sightings
        if one.position > seen.position
        and one.type == "RevisionObserved"
        and (one.event.stream, one.data["ref"]) == (seen.event.stream, seen.data["ref"])
        and subject.environment in one.data["affected"]
    )
    return next(newer, None)


def _because_of(told: Told, rule: str, text: str) -> Step:
    return Step(kind="decision", rule=rule, text=text, event=told.event)
