"""What was done to hosts and what came of it, an event each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.traffic_words import traffic_words
from projections.views.why.phrases import Named, Words, failure_words, first_line, ids, quoted, short


def _started(data: dict[str, Any]) -> Words:
    return "operation", None, f"{data['release']}: the work begins"


def _completed(data: dict[str, Any]) -> Words:
    done = [host for host, one in sorted(data["hosts"].items()) if one["status"] == "completed"]
    text = f"{data['release']}: every service passed its gate on {', '.join(done)}"
    traffic = "" if data["traffic"] is None else f"; {traffic_words(data['traffic'])}"
    return "health", None, text + _others(data) + traffic


def _failed(data: dict[str, Any]) -> Words:
    failure, stays = data["failure"], "; nothing more was changed" if data["stays"] else ""
    text = f"{data['release']} failed: {failure_words(failure)}{stays}"
    return "health", failure["code"], text + _others(data)


_QUIET = frozenset({"completed", "restored", "untouched"})


def _others(data: dict[str, Any]) -> str:
    """The hosts that did not go with the others, where there are others."""
    hosts = sorted(data["hosts"].items())
    named = [f"{host} {one['status']}" for host, one in hosts if one["status"] not in _QUIET]
    return f" ({', '.join(named)})" if named and len(hosts) > 1 else ""


def _left_out(data: dict[str, Any]) -> Words:
    failure = data["failure"]
    text = f"{data['host']} takes no further part, {data['status']}: {failure_words(failure)}"
    return "operation", failure["code"], text


def _rolled_back(data: dict[str, Any], named: Named) -> Words:
    failure = data["failure"]
    text = f"{data['release']} failed: {failure_words(failure)}; {named(data['restored'])} was brought back"
    return "health", failure["code"], text + _others(data)


def _phase_failed(data: dict[str, Any]) -> Words:
    failure = data["failure"]
    return "operation", failure["code"], f"phase {data['phase']} failed: {failure_words(failure)}"


_REASONS = {
    "new": "it was not there",
    "changed": "it changed",
    "missing": "it was missing",
    "stopped": "it had stopped",
    "orphan": "the project does not have it any more",
    "restored": "brought back after the failure",
    "drift": "healed",
    "started": "a person had it started",
    "restarted": "a person had it restarted",
}


def _replaced(data: dict[str, Any]) -> Words:
    came, went = ids(data["new_ids"]), ids(data["old_ids"])
    what = f"{came} came for {went}" if came and went else f"{came} came" if came else f"{went} went"
    text = f"{data['host']}/{data['service']}: {what or 'nothing changed'}"
    reason: str = data["reason"]
    return "operation", None, f"{text}; {_REASONS.get(reason, reason)}"


def _started_beside(data: dict[str, Any]) -> Words:
    reason: str = data["reason"]
    text = f"{data['host']}/{data['service']}: {ids(data['new_ids'])} started beside {ids(data['old_ids'])}"
    return "operation", None, f"{text}; {_REASONS.get(reason, reason)}"


def _withdrawn(data: dict[str, Any]) -> Words:
    failure = data["failure"]
    text = f"{data['host']}/{data['service']}: {ids(data['containers'])} was taken away again"
    return "health", failure["code"], f"{text}, the old one runs on: {failure_words(failure)}"


def _reloaded(data: dict[str, Any]) -> Words:
    files = ", ".join(data["files"]) or "files that it mounts"
    told = ids(data["containers"])
    text = f"{told} got {data['signal']}" if told else f"nothing that runs was told by {data['signal']}"
    reason: str = data["reason"]
    return (
        "operation",
        None,
        f"{data['host']}/{data['service']}: {files} changed, {text}; {_REASONS.get(reason, reason)}",
    )


def _adopted(data: dict[str, Any]) -> Words:
    text = f"{data['host']}/{data['service']}: {ids(data['containers'])} was there before and is ours now"
    return "operation", None, text


def _job_completed(data: dict[str, Any]) -> Words:
    text = f"{data['host']}/{data['service']}: the job ran to its end in {short(data['container'])}"
    return "operation", None, text


def _job_failed(data: dict[str, Any]) -> Words:
    failure = data["failure"]
    text = f"{data['host']}/{data['service']}: the job failed in {short(data['container'])}, which is kept"
    return "operation", failure["code"], f"{text}: {failure_words(failure)}"


def _destroyed(data: dict[str, Any]) -> Words:
    return "operation", None, f"the environment was taken away on {', '.join(sorted(data['hosts']))}"


def _drifted(data: dict[str, Any]) -> Words:
    differs = "; ".join(f"{name}: {words}" for name, words in sorted(data["services"].items()))
    policy: str = data.get("policy", "heal")
    left = "" if policy == "heal" else f"; by the policy `{policy}` it is left as it is"
    return "health", "drift", f"{data['host']} does not run what is deployed ({differs}){left}"


def _healed(data: dict[str, Any]) -> Words:
    return "health", None, f"{data['host']} runs what is deployed again ({', '.join(data['services'])})"


def _breaker_opened(data: dict[str, Any]) -> Words:
    text = f"healing rests until {data['until']} after {data['attempts']} attempts: {data['reason']}"
    return "health", "healing-rests", f"{text}; `resume` ends the rest"


def _breaker_closed(data: dict[str, Any]) -> Words:
    return "health", data["reason"], "healing is on again"


def _unreachable(data: dict[str, Any]) -> Words:
    return "health", "host-unreachable", f"{data['host']} does not answer: {first_line(data['reason'])}"


def _stopped(data: dict[str, Any]) -> Words:
    text = f"{data['service']} is stopped by a person and stays so{quoted(data['reason'])}"
    return "decision", "person-asked", text


def _up_again(data: dict[str, Any]) -> Words:
    return "decision", "person-asked", f"{data['service']} is started by a person{quoted(data['reason'])}"


def _restarted(data: dict[str, Any]) -> Words:
    text = f"{data['service']} is restarted by a person on {', '.join(data['hosts'])}"
    return "decision", "person-asked", text + quoted(data["reason"])


def _state_changed(data: dict[str, Any]) -> Words:
    times = f"{data['count']} times since {data['since']}, at last " if data["count"] > 1 else ""
    return "health", None, f"{data['host']}/{data['service']}: the engine tells of {times}{data['state']}"


WORDS: dict[str, Callable[[dict[str, Any]], Words]] = {
    "ReleaseStarted": _started,
    "ReleaseCompleted": _completed,
    "ReleaseFailed": _failed,
    "PhaseFailed": _phase_failed,
    "HostLeftOut": _left_out,
    "ServiceReplaced": _replaced,
    "ServiceStartedBeside": _started_beside,
    "ServiceWithdrawn": _withdrawn,
    "ServiceReloaded": _reloaded,
    "ServiceAdopted": _adopted,
    "JobCompleted": _job_completed,
    "JobFailed": _job_failed,
    "EnvironmentDestroyed": _destroyed,
    "DriftDetected": _drifted,
    "DriftHealed": _healed,
    "BreakerOpened": _breaker_opened,
    "BreakerClosed": _breaker_closed,
    "ServiceStopped": _stopped,
    "ServiceStarted": _up_again,
    "ServiceRestarted": _restarted,
    "ContainerStateChanged": _state_changed,
    "HostUnreachable": _unreachable,
}
NAMING: dict[str, Callable[[dict[str, Any], Named], Words]] = {"ReleaseRolledBack": _rolled_back}
