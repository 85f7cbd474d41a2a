"""What became of requests, an event each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.views.why.phrases import Words, first_line, ids, some

_REASONS = {
    "routes": "its routes are other ones",
    "drift": "they were told something else",
    "restored": "brought back after the failure",
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


WORDS: dict[str, Callable[[dict[str, Any]], Words]] = {
    "TrafficSwitched": _switched,
    "ConnectionsDrained": _drained,
    "TrafficRestored": _restored,
    "RoutesTold": _told,
}
