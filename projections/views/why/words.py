"""One event in words a person understands, with the rule by which it was decided.

A text says what happened and what follows from it. Who did it and when stand beside it and not in it.
"""

from __future__ import annotations

from projections.views.why import words_decided, words_done, words_traffic
from projections.views.why.answer import Step
from projections.views.why.phrases import Named, short
from projections.views.why.record import Told

WORDS = {**words_decided.WORDS, **words_done.WORDS, **words_traffic.WORDS}
NAMING = {**words_decided.NAMING, **words_done.NAMING}


def step(told: Told, named: Named) -> Step:
    """The event as a step; one of a type without words of its own says its type.

    `named` says what people call a Manifest.
    """
    if (naming := NAMING.get(told.type)) is not None:
        kind, rule, text = naming(told.data, named)
    elif (words := WORDS.get(told.type)) is not None:
        kind, rule, text = words(told.data)
    else:
        kind, rule, text = "operation", None, told.type
    return Step(kind=kind, rule=rule, text=text, event=told.event)


def commit_step(told: Told) -> Step:
    """The commit that a sighting or a render speaks of."""
    revision = short(told.data["revision"])
    subject = told.data.get("subject")
    text = f'{revision} "{subject}"' if subject else f"{revision}; no look at a watched branch showed it"
    return Step(kind="commit", text=text, event=told.event)
