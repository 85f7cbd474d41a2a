"""`seals` of `controller.yml`: how often the log is sealed, and where seals go.

Sealing is on without a word here. What has to be said is where the seals go, because a seal that never
leaves the machine goes with it.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from gitops.config.scalars import Count, Duration, Matching, Text
from gitops.config.section import Section

_REF = r"refs/(?!.*(?:\.\.|//|/\.|\.lock(?:/|$)|@\{))[^\x00-\x20\x7f~^:?*\[\\]+[^\x00-\x20\x7f~^:?*\[\\/.]"

SealRefName = Annotated[
    str, Matching(_REF, 250, "a full name of a ref, as `refs/stagecraft/seals` or `refs/heads/seals`")
]
_BRANCH = re.compile(r"refs/tags/")


class SealPlaceSection(Section):
    """`seals.to[]`: one place, by exactly one of `file`, `ref` with `url`, and `command`."""

    file: Text | None = Field(
        default=None,
        description="A file that gets each seal as a line of JSON, on a disk of another machine; from beside "
        "this file.",
    )
    ref: SealRefName | None = Field(
        default=None, description="A ref of a Git repository; each seal is a commit on it, never forced."
    )
    url: Text | None = Field(
        default=None, description="The repository of `ref`: an address, or a path from beside this file."
    )
    command: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="A program and its arguments; gets the JSON of a seal on standard input."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        named = [one for one in (self.file, self.ref, self.command) if one is not None]
        if len(named) != 1:
            raise ValueError("a place is one of file, ref with url, and command")
        if (self.ref is None) != (self.url is None):
            raise ValueError("ref says which ref, and url in which repository: both, or none of them")
        if self.ref is not None and _BRANCH.match(self.ref):
            raise ValueError("a tag does not move: name a branch, or a ref as refs/stagecraft/seals")
        return self

    def __str__(self) -> str:
        """The place in one word, for people."""
        if self.file is not None:
            return f"file {self.file}"
        return f"ref {self.ref}" if self.ref is not None else f"command {(self.command or [''])[0]}"


class SealsSection(Section):
    """`seals`: signed statements of where the log stands, that leave the machine."""

    every_seconds: Count = Field(
        default=60, description="A seal at the latest so long after something was recorded."
    )
    every_events: Count = Field(default=1000, description="A seal at the latest after so many events.")
    deadline: Duration = Field(default=30.0, description="How long sending one seal to one place may take.")
    to: list[SealPlaceSection] = Field(
        default=[], description="Where seals go; without one they stay on this machine."
    )
