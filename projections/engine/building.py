"""What a builder and a push say, line by line, and what that means.

The engine answers 200 before it begins, so success and failure are lines too: `stream` for people, `aux` with
the id of what was made, `error` at the end. A step that fails is the commit's fault. A base image that cannot
be fetched is not: that is told from the step it happened in.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from events.kernel.errors import OutsideError, UserError
from projections.engine.api import Answer
from projections.engine.errors import BUILD_FAILED, BUILD_TIMED_OUT, PUSH_FAILED, engine_refused, shown
from projections.engine.registry import image_unavailable

KEPT_LINES = 20
_FROM = re.compile(r"Step \d+/\d+ : FROM (?:--platform=\S+ )?(?P<base>\S+)", re.IGNORECASE)
_STEP = re.compile(r"Step \d+/\d+ : ")


@dataclass(slots=True, kw_only=True)
class BuildReader:
    """Reads the lines of one build."""

    tag: str
    told: Callable[[str], None]
    over: Callable[[], bool]  # whether nobody waits any more
    seconds: float
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _base: str | None = None  # fetched by the step under way
    _id: str = ""

    def read(self, lines: Iterable[Answer]) -> str:
        """The id of the image that was built.

        Raises UserError `build-failed`, OutsideError `image-not-found`, `registry-unreachable` or
        `build-timed-out`.
        """
        for line in lines:
            if self.over():
                raise timed_out(f"the build of {self.tag}", self.seconds, tuple(self._last))
            if "error" in line or "errorDetail" in line:
                raise self._failure(error_words(line))
            aux: Answer = line.get("aux") or {}
            self._id = str(aux.get("ID") or self._id)
            for text in str(line.get("stream") or "").splitlines():
                self._hear(text)
        if not self._id:
            raise engine_refused(f"build {self.tag}", "it ended without an image")
        return self._id

    def _hear(self, text: str) -> None:
        words = shown(text)
        if not words.strip():
            return
        if _STEP.match(words):
            base = _FROM.match(words)
            self._base = base["base"] if base else None
        self._last.append(words)
        self.told(words)

    def _failure(self, words: str) -> UserError | OutsideError:
        if self._base is not None:
            return image_unavailable(self._base, words)
        return build_failed(self.tag, "\n".join([*self._last, shown(words)]))


def build_failed(tag: str, words: str) -> UserError:
    """`build-failed` with what the builder said last."""
    return UserError(
        BUILD_FAILED,
        f"the build of {tag} failed",
        why=words,
        next="build it by hand with `docker build` to see more",
    )


def check_push(ref: str, lines: Iterable[Answer], *, over: Callable[[], bool], seconds: float) -> None:
    """Read the lines of a push. Raises OutsideError `push-failed` or `build-timed-out`."""
    for line in lines:
        if over():
            raise timed_out(f"the push of {ref}", seconds, ())
        if "error" in line or "errorDetail" in line:
            raise push_failed(ref, error_words(line))


def push_failed(ref: str, words: str) -> OutsideError:
    """`push-failed` with the words of the engine or the registry."""
    return OutsideError(
        PUSH_FAILED,
        f"{ref} was built and could not be pushed",
        why=shown(words),
        next=f"try `docker push {ref}` on this machine, or log in with `docker login`",
    )


def timed_out(what: str, seconds: float, last: tuple[str, ...]) -> OutsideError:
    """`build-timed-out` with what was said last."""
    return OutsideError(
        BUILD_TIMED_OUT,
        f"{what} was not over after {seconds:g} s",
        why="\n".join(last),
        next="make it faster, or raise builds.deadline in controller.yml",
    )


def error_words(line: Answer) -> str:
    """What an error line says."""
    detail: Answer = line.get("errorDetail") or {}
    return str(detail.get("message") or line.get("error"))
