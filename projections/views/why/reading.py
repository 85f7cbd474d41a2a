"""From a word to its answer: the subject is found in a view, its events are read, the answer is made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from projections.views.why.answer import Answer
from projections.views.why.phrases import short
from projections.views.why.record import gather, with_releases
from projections.views.why.releases import explain_release
from projections.views.why.revisions import explain_revision
from projections.views.why.services import explain_container, explain_service
from projections.views.why.subjects import Found, Place, Shown, as_service, find_subject

if TYPE_CHECKING:
    from events.log import EventLog


def why(
    log: EventLog,
    tables: sqlite3.Connection,
    word: str,
    *,
    environment: Place | None = None,
    shown: Callable[[], Sequence[Shown]] = tuple,
) -> Answer:
    """The answer for what `word` means; `tables` have the view `traces` at the log's head.

    `shown` tells the containers that engines last showed; it is asked for one that no event names.

    Raises UserError `why-subject-unknown` or `why-subject-ambiguous`.
    """
    found = find_subject(log, tables, word, environment=environment, shown=shown)
    subject = found.subject
    record = gather(log, tables, subject, releases=found.releases)
    if subject.kind == "revision":
        asked = [one for one in record.requests() if one.data["revision"] == subject.id]
        record = with_releases(log, record, [one.data["release"] for one in asked])
        return explain_revision(record, subject)
    if subject.kind == "release":
        return explain_release(record, subject)
    if subject.kind == "service":
        return explain_service(record, subject)
    if not found.known:
        return _stranger(found, explain_service(record, as_service(found).subject))
    return explain_container(record, subject, service=found.service or "")


def _stranger(found: Found, service: Answer) -> Answer:
    """A container that no event names: said so, with what is known of its service."""
    container = short(found.subject.id)
    words = (
        f"no event names {container}: an engine showed it as {found.service} on {found.subject.host}, "
        f"and whoever made it did not go through this log; {service.sentence}"
    )
    return replace(service, subject=found.subject, sentence=words)
