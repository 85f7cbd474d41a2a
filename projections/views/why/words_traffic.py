"""What became of requests, an event each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.views.why.phrases import Words, first_line, ids, quoted, some

_REASONS = {
    "routes": "its routes are other ones",
    "drift": "they were told something else",
    "restored": "brought back after the failure",
}
_WATCH_ENDS = {
    "requested": "something else was asked for",
    "held": "the environment is held",
    "suspended": "the environment is suspended",
    "drained": "a person held requests back",
    "steered": "a person stopped or restarted a service of it",
    "destroyed": "the environment goes",
}


def _switched(data: dict[str, Any]) -> Words:
    where, old, new = some(data["gateways"]), ids(data["old_ids"]), ids(data["new_ids"])
    instead = f" instead of {old}" if old else ""
    text = f"{data['host']}/{data['service']}: requests go to {new}{instead}"
    return "operation", None, f"{text}; the gateway on {where} does so after {data['milliseconds']} ms"


def _drained(data: dict[str, Any]) -> Words:
    text = f"{data['host']}/{data['service']}: {ids(data['containers'])} let go of its connections"
    cut = f"; {data['cut']} were still open at the limit and were cut" if data["cut"] else ""
    return "operation", None, f"{text} in {data['milliseconds']} ms{cut}"


def _restored(data: dict[str, Any]) -> Words:
    text = f"{data['host']}/{data['service']}: requests go to {ids(data['containers'])} again"
    return "health", None, f"{text}: {first_line(data['reason'])}"


def _told(data: dict[str, Any]) -> Words:
    where, reason = some(data["gateways"]), data["reason"]
    told = f"passes requests on to {some(data['services'])} as deployed" if data["services"] else ""
    gone = f"passes nothing on to {some(data['forgotten'])} any more" if data["forgotten"] else ""
    what = " and ".join(part for part in (told, gone) if part)
    return "operation", None, f"the gateway on {where} {what}; {_REASONS.get(reason, reason)}"


def _held_back(data: dict[str, Any]) -> Words:
    mode = "is in maintenance" if data["mode"] == "maintenance" else "is drained"
    text = f"the {data['kind']} {data['name']} {mode}: a person wants no new requests for it"
    return "decision", "person-asked", text + quoted(data["reason"])


def _let_through(data: dict[str, Any]) -> Words:
    text = f"the {data['kind']} {data['name']} gets requests again: a person wants it"
    return "decision", "person-asked", text + quoted(data["reason"])


def _watch_begun(data: dict[str, Any]) -> Words:
    text = f"{some(data['services'])} of {data['release']} are watched until {data['until']}"
    return "health", None, text


def _watch_passed(data: dict[str, Any]) -> Words:
    return "health", None, f"{data['release']} passed its watch{_counted(data)}"


def _watch_failed(data: dict[str, Any]) -> Words:
    found = first_line(data["failure"]["message"])
    return "health", None, f"{data['release']} failed while it was watched: {found}{_counted(data)}"


def _watch_ended(data: dict[str, Any]) -> Words:
    why = _WATCH_ENDS.get(data["reason"], data["reason"])
    return "health", None, f"{data['release']} is watched no more: {why}"


def _counted(data: dict[str, Any]) -> str:
    if not data["requests"]:
        return ""
    return f"; {data['failed']} of {data['requests']} requests were answered with 5xx"


WORDS: dict[str, Callable[[dict[str, Any]], Words]] = {
    "TrafficSwitched": _switched,
    "ConnectionsDrained": _drained,
    "TrafficRestored": _restored,
    "RoutesTold": _told,
    "TrafficDrained": _held_back,
    "TrafficUndrained": _let_through,
    "WatchBegun": _watch_begun,
    "WatchPassed": _watch_passed,
    "WatchFailed": _watch_failed,
    "WatchEnded": _watch_ended,
}
