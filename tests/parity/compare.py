"""One app: both sides, the documented differences taken back, and what is to be said of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from tests.parity.apps import App, Stage
from tests.parity.documented import Pair, entries, section, take_back
from tests.parity.places import Places
from tests.parity.sides import Answer, ours, theirs


class Verdict(StrEnum):
    """What a comparison came to."""

    EQUAL = "equal"
    DOCUMENTED = "equal but for documented differences"
    REFUSED = "refused by us"
    BOTH_REFUSE = "refused by Compose too"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the report."""

    app: App
    verdict: Verdict
    detail: str = ""  # the differences, the code and reason, or the first key with both values
    code: str = ""  # of the refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The first key at which two documents differ; None stands for an absent value too."""

    key: str
    ours: str
    compose: str

    def __str__(self) -> str:
        return f"{self.key}: ours {self.ours}, Compose {self.compose}"


async def compare(stage: Stage, app: App) -> list[Result]:
    """Compare without profiles and, where Compose renders more with all of them, with these too."""
    plain, result = await _one(stage, app, every_profile=False)
    every = await theirs(stage, app, "", every_profile=True)
    names = tuple(sorted(section(every.document or {}, "services")))
    if every.document is None or len(names) == plain:
        return [result]
    return [result, (await _one(stage, replace(app, with_profiles=names), every_profile=True))[1]]


async def _one(stage: Stage, app: App, *, every_profile: bool) -> tuple[int, Result]:
    """How many services Compose renders, and what the comparison comes to."""
    revision = await asyncio.to_thread(stage.commit, app)
    mine = await ours(stage, app, revision)
    compose = await theirs(stage, app, revision, every_profile=every_profile)
    count = len(section(compose.document or {}, "services"))
    return count, await asyncio.to_thread(_judged, stage, app, mine, compose)


def _judged(stage: Stage, app: App, mine: Answer, compose: Answer) -> Result:
    if mine.is_bug:
        return Result(
            app=app, verdict=Verdict.DIFFERENT, code=mine.code, detail=f"{mine.code}: {mine.reason}"
        )
    if mine.document is None:
        verdict = Verdict.BOTH_REFUSE if compose.document is None else Verdict.REFUSED
        return Result(app=app, verdict=verdict, code=mine.code, detail=f"{mine.code}: {mine.reason}")
    if compose.document is None:
        if _reads_host(compose, mine):
            return Result(app=app, verdict=Verdict.DOCUMENTED, detail="host-env-file")
        shown = Mismatch(key="(document)", ours="is rendered", compose=f"refuses: {compose.reason}")
        return Result(app=app, verdict=Verdict.DIFFERENT, detail=str(shown))
    pair = Pair(
        ours=mine.document, theirs=compose.document, findings=mine.findings, places=Places.of(stage, app)
    )
    differences = take_back(pair)
    mismatch = next(mismatches(pair.ours, pair.theirs), None)
    if mismatch is not None:
        return Result(app=app, verdict=Verdict.DIFFERENT, detail=str(mismatch))
    verdict = Verdict.DOCUMENTED if differences else Verdict.EQUAL
    return Result(app=app, verdict=verdict, detail=", ".join(differences))


def _reads_host(compose: Answer, mine: Answer) -> bool:
    """Whether Compose refuses only because an env file of a host is not on this machine."""
    services = section(mine.document or {}, "services").values()
    files = {str(entry["path"]) for one in services for entry in entries(one, "env_file")}
    return any(f"env file {path} not found" in compose.reason for path in files)


def mismatches(ours: Any, compose: Any, key: str = "") -> Iterator[Mismatch]:  # noqa: ANN401  # JSON values
    """Where two JSON values differ, in the order of their keys."""
    if isinstance(ours, dict) and isinstance(compose, dict):
        mine, other = cast("dict[str, Any]", ours), cast("dict[str, Any]", compose)
        for name in sorted(mine.keys() | other.keys()):
            inner = f"{key}.{name}" if key else name
            if name in mine and name in other:
                yield from mismatches(mine[name], other[name], inner)
            else:
                yield Mismatch(key=inner, ours=_shown(mine, name), compose=_shown(other, name))
    elif isinstance(ours, list) and isinstance(compose, list):
        left, right = cast("Sequence[Any]", ours), cast("Sequence[Any]", compose)
        for position, (one, two) in enumerate(zip(left, right, strict=False)):
            yield from mismatches(one, two, f"{key}[{position}]")
        if len(left) != len(right):
            yield Mismatch(key=f"{key}[]", ours=f"{len(left)} items", compose=f"{len(right)} items")
    elif json.dumps(ours) != json.dumps(compose):  # 1 is neither true nor 1.0 here
        yield Mismatch(key=key, ours=_text(ours), compose=_text(compose))


def _shown(values: dict[str, Any], name: str) -> str:
    return _text(values[name]) if name in values else "absent"


def _text(value: Any) -> str:  # noqa: ANN401  # a JSON value
    return json.dumps(value)[:160]
