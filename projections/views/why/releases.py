"""Why there was a Release, and how it ended."""

from __future__ import annotations

from projections.views.why.answer import Answer, Subject
from projections.views.why.chain import ended, reasons, steps_of, whole
from projections.views.why.phrases import failure_words, short
from projections.views.why.record import Record, Told
from projections.views.why.standing import standing


def explain_release(record: Record, subject: Subject) -> Answer:
    """Why there was this Release and how it ended."""
    release = subject.id
    request = record.request(release)
    if request is None:
        return Answer(subject=subject, sentence=f"no event asks for {release}")
    verdict = record.verdict(release)
    later = [one for one in record.requests() if one.data.get("reverts") == release]
    events = [*whole(record, release), *later]
    return Answer(
        subject=subject,
        sentence=release_sentence(record, request, verdict, later=later),
        steps=steps_of(record, events),
        because_not=reasons(record, against(record, request)),
    )


def release_sentence(record: Record, request: Told, verdict: Told | None, *, later: list[Told]) -> str:
    """The Release in a sentence; `later` are the Releases that took it back."""
    release, cause = request.data["release"], because(record, request)
    if verdict is None:
        return f"{release} has no verdict yet; it was decided because {cause}"
    if verdict.type == "ReleaseCompleted":
        partly = f" on {', '.join(request.data['scope'])} alone" if request.data.get("scope") else ""
        sentence = f"{release} was deployed{partly} because {cause}"
        if record.deployed() == release:
            return f"{sentence}; it is what is deployed"
        taken_back = f", taken back by {later[-1].data['release']}" if later else ""
        return f"{sentence}; it is not what is deployed any more{taken_back}"
    return f"{release} was decided because {cause}, and {_misfortune(record, verdict)}"


def _misfortune(record: Record, verdict: Told) -> str:
    """How a Release ended that did not complete, as the end of a sentence."""
    match verdict.type:
        case "ReleaseRolledBack":
            return f"failed: {failure_words(verdict.data['failure'])}; the former version was brought back"
        case "ReleaseFailed":
            return f"failed: {failure_words(verdict.data['failure'])}"
        case "ReleaseSuperseded":
            begun = record.begun(verdict.data["release"])
            how = "was not run to its end" if begun else "was never run"
            return f"{how}: {verdict.data['by']} came first"
        case _:
            return f"was not finished: {verdict.data['reason']}"


def because(record: Record, request: Told) -> str:
    """The reason of a request, as the end of a sentence."""
    data = request.data
    revision = short(data["revision"])
    seen = record.sighting(data["revision"], before=request.position)
    subject = f' "{seen.data["subject"]}"' if seen is not None else ""
    reason = f' ("{data["reason"]}")' if data.get("reason") else ""
    match request.type:
        case "RollbackRequested":
            return f"a person rolled back to {data['target']}{reason}"
        case "RevertDetected":
            by_message = f"says that it takes back what {data['reverts']} brought"
            by_tree = "is a tree that ran here before"
            return (
                f"Git went back: {revision}{subject} {by_message if data.get('by') == 'message' else by_tree}"
            )
        case "AdoptionRequested":
            return "a person took over what ran already"
        case _ if data.get("trigger") == "person":
            return f"a person deployed {revision}{subject}"
        case _ if data.get("retry_of"):
            return f"{data['retry_of']} failed for a cause outside, and {revision}{subject} was tried again"
        case _:
            return f"the branch shows {revision}{subject}"


_NOT_COMPLETED = frozenset({"ReleaseFailed", "ReleaseRolledBack", "ReleaseSuperseded", "ReleaseCancelled"})


def against(record: Record, request: Told) -> list[Told]:
    """Why a Release did not complete; nothing for one that did."""
    verdict = record.verdict(request.data["release"])
    if verdict is None:
        return [one for one in standing(record) if one is not request]
    return ended(record, request.data["release"]) if verdict.type in _NOT_COMPLETED else []
