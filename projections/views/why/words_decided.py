"""What was seen, rendered and decided, an event each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from events.refs import shown_ref
from projections.views.why.phrases import Named, Words, failure_words, first_line, quoted, short, some


def _observed(data: dict[str, Any]) -> Words:
    concerned = some(data["affected"]) or "no environment"
    text = f"{_shown(data)} shows it; it changes what {concerned} is made from"
    return "look", None, text


def _shown(data: dict[str, Any]) -> str:
    """What shows a commit: a branch, or the tag that is the newest version of a range."""
    name, tag = shown_ref(data["ref"]), data.get("tag")
    return f"branch {name}" if tag is None else f"tag {tag}, the newest of {name.removeprefix('tags ')},"


def _rejected(data: dict[str, Any]) -> Words:
    name = short(data["revision"]) + (f" ({data['tag']})" if data.get("tag") else "")
    return "look", data["rule"], f"{name} is not taken: {first_line(data['detail'])}"


def _rewritten(data: dict[str, Any]) -> Words:
    now, before = short(data["revision"]), short(data["previous"])
    if (tag := data.get("tag")) is not None:
        return "look", "tag-moved", f"tag {tag} was moved: it was {before} and is {now}"
    return "look", "history-rewritten", f"the branch was rewritten: {now} does not descend from {before}"


def _left_out(data: dict[str, Any]) -> Words:
    owner = f"{shown_ref(data['owner_ref'])} of {data['owner']}"
    return "look", "left-out", f"{owner} declared {data['environment']} first and has it"


def _orphaned(data: dict[str, Any]) -> Words:
    text = f"{short(data['revision'])} does not declare the environment any more; what runs goes on"
    return "look", "gone-from-branch", text


def _returned(data: dict[str, Any]) -> Words:
    return "look", None, f"{short(data['revision'])} declares the environment again"


def _rendered(data: dict[str, Any]) -> Words:
    services = sorted({name for names in data["services"].values() for name in names})
    text = f"{short(data['digest'])} rendered from {short(data['revision'])}: {some(services)}"
    return "manifest", None, text


def _render_failed(data: dict[str, Any]) -> Words:
    failure = data["failure"]
    text = f"{short(data['revision'])} cannot be rendered: {failure_words(failure)}; nothing was touched"
    return "manifest", failure["code"], text


def _awaited(data: dict[str, Any]) -> Words:
    text = f"waits for {', '.join(data['images'])}, which CI has not pushed yet, until {data['until']}"
    return "manifest", "image-awaited", text


def _built(data: dict[str, Any]) -> Words:
    pushed = " and pushed" if data["pushed"] else ""
    return "manifest", None, f"built{pushed} {data['ref']} for {data['service']}"


def _refreshed(data: dict[str, Any]) -> Words:
    moved = ", ".join(one["ref"] for one in data["moved"])
    return "manifest", data["cause"], f"tags were looked up again and mean other images: {moved}"


def _deploy(data: dict[str, Any]) -> Words:
    name = data["release"]
    if data.get("retry_of"):
        text = f"{name}: {data['retry_of']} failed for a cause outside, so it is tried again"
        return "decision", "retried", text
    if data["trigger"] == "person":
        return "decision", "person-asked", f"{name}: a person deploys {short(data['revision'])}"
    return "decision", "branch-shows-it", f"{name}: the branch shows another Manifest than what is deployed"


def _revert(data: dict[str, Any]) -> Words:
    if data.get("by") == "message":
        text = f"{data['release']}: the commit says that it takes back what {data['reverts']} brought"
        return "decision", "says-it-reverts", text
    reverts = f", which takes back {data['reverts']}" if data["reverts"] else ""
    text = f"{data['release']}: Git went back to a tree that ran here before{reverts}; nothing is rendered"
    return "decision", "known-tree", text


def _rollback(data: dict[str, Any]) -> Words:
    taken_back = f", which takes back {data['reverts']}" if data["reverts"] else ""
    text = f"{data['release']}: a person rolls back to {data['target']}{taken_back}{quoted(data['reason'])}"
    return "decision", "person-asked", text


def _adoption(data: dict[str, Any]) -> Words:
    accepted = ", with what differs" if data.get("accepted") else ""
    return "decision", "person-asked", f"{data['release']}: a person takes over what runs already{accepted}"


def _skipped(data: dict[str, Any]) -> Words:
    texts = {
        "already-deployed": "it renders to what is deployed already, so there is nothing to do",
        "superseded": "a newer decision came first",
    }
    reason: str = data["reason"]
    return "decision", reason, texts.get(reason, f"it is not deployed: {reason}")


_DEFERRED = {
    "contains-held-change": "it waits: it still has what the hold keeps out ({})",
    "held": "it waits: the environment is held ({})",
    "suspended": "it waits: the environment is suspended",
    "not-allowed": "it waits: it asks for what nobody allowed: {}",
    "destroyed": "it waits: {}",
    "removes-too-much": "it waits for a person: it takes away more services than a merge may ({})",
}


def _deferred(data: dict[str, Any]) -> Words:
    rule: str = data["rule"]
    text = _DEFERRED.get(rule, f"it waits by the rule {rule}: {{}}")
    return "decision", rule, text.format(data["detail"] or "no detail was given")


def _refused(data: dict[str, Any]) -> Words:
    return "decision", data["rule"], f"a person asked for it and it is refused: {data['detail']}"


def _held(data: dict[str, Any], named: Named) -> Words:
    until = f", until {data['until']}" if data.get("until") else ""
    target = named(data["target"])
    if data["clears"] == "manual":
        ends = "`resume --hold` or a branch that shows it" if data.get("agrees") else "`resume --hold`"
        text = f"held at {target}{until}{quoted(data['reason'])}; {ends} ends it"
        return "hold", "manual", text
    bad = some([named(one) for one in data["bad"]]) or "anything else"
    text = f"held at {target}{until}: Git does not bring {bad} back, and a fix ends the hold"
    return "hold", "fixed", text + quoted(data["reason"])


_CLEARED = {
    "fixed": "the hold ends: what it keeps out is not in {} any more",
    "reverted": "the hold ends: {} shows what is held, so there is nothing to deploy",
    "resumed": "a person ends the hold",
    "expired": "the hold ends: its time is over",
    "retried": "the hold ends: what failed for a cause outside is tried again",
}


def _cleared(data: dict[str, Any]) -> Words:
    reason: str = data["reason"]
    text = _CLEARED.get(reason, f"the hold ends: {reason}")
    return "hold", reason, text.format(short(data["revision"])) + quoted(data.get("detail", ""))


def _suspended(data: dict[str, Any]) -> Words:
    until = f", until {data['until']}" if data.get("until") else ""
    text = f"suspended: no deploy by Git, no healing{until}{quoted(data['reason'])}"
    return "hold", "suspended", text


def _resumed(data: dict[str, Any]) -> Words:
    cause = data.get("cause", "resumed")
    text = "the suspend ends: its time is over" if cause == "expired" else "a person ends the suspend"
    return "hold", cause, text + quoted(data.get("reason", ""))


def _superseded(data: dict[str, Any]) -> Words:
    touched = f"; it had changed {some(data['touched'])}" if data.get("touched") else ""
    text = f"{data['release']}: not run to its end, {data['by']} came first{touched}"
    return "decision", "superseded", text


def _cancelled(data: dict[str, Any]) -> Words:
    return "decision", "cancelled", f"{data['release']}: {data['reason']}"


def _removal_deferred(data: dict[str, Any]) -> Words:
    return "decision", data["rule"], f"it is not taken away by rule: {data['detail']}"


def _prune_deferred(data: dict[str, Any]) -> Words:
    text = f"{some(data['services'])} left with {data['release']}: more than go at once, so they run on"
    return "decision", "removes-too-much", text


def _prune_confirmed(data: dict[str, Any]) -> Words:
    return "decision", "person-asked", f"a person lets {some(data['services'])} go{quoted(data['reason'])}"


def _destroy_requested(data: dict[str, Any]) -> Words:
    texts = {"person": "a person takes the environment away", "orphaned": "gone from Git for long enough"}
    cause: str = data["cause"]
    return "decision", cause, texts.get(cause, cause) + quoted(data["reason"])


WORDS: dict[str, Callable[[dict[str, Any]], Words]] = {
    "RevisionObserved": _observed,
    "RevisionRejected": _rejected,
    "HistoryRewritten": _rewritten,
    "EnvironmentLeftOut": _left_out,
    "EnvironmentOrphaned": _orphaned,
    "EnvironmentReturned": _returned,
    "ManifestRendered": _rendered,
    "RenderFailed": _render_failed,
    "ImageAwaited": _awaited,
    "ImageBuilt": _built,
    "ImagesRefreshed": _refreshed,
    "DeployRequested": _deploy,
    "RevertDetected": _revert,
    "RollbackRequested": _rollback,
    "AdoptionRequested": _adoption,
    "DeploySkipped": _skipped,
    "DeployDeferred": _deferred,
    "DeployRefused": _refused,
    "HoldCleared": _cleared,
    "EnvironmentSuspended": _suspended,
    "EnvironmentResumed": _resumed,
    "ReleaseSuperseded": _superseded,
    "ReleaseCancelled": _cancelled,
    "RemovalDeferred": _removal_deferred,
    "PruneDeferred": _prune_deferred,
    "PruneConfirmed": _prune_confirmed,
    "DestroyRequested": _destroy_requested,
}
NAMING: dict[str, Callable[[dict[str, Any], Named], Words]] = {"EnvironmentHeld": _held}
