"""What a registry says, as the engine passes it on.

Engines and registries have no codes for why an image is missing, only sentences; they are read here and
nowhere else. A sentence that is not known counts as "no answer", because that is the error which may pass.
"""

from __future__ import annotations

import re

from events.kernel.errors import OutsideError
from projections.engine.api import Answer
from projections.engine.errors import IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE, shown

_NOT_FOUND = re.compile(
    r"manifest(?: for \S+)? (?:unknown|not found)"
    r"|name unknown|repository name not known"
    r"|repository does not exist|no such image"
    r"|denied|unauthorized|no basic auth credentials"
    r"|no matching manifest",
    re.IGNORECASE,
)
_WANTS_LOGIN = re.compile(r"denied|unauthorized|no basic auth credentials", re.IGNORECASE)


def image_unavailable(ref: str, words: str) -> OutsideError:
    """`image-not-found` when the registry knows no such image or does not show it.

    Else `registry-unreachable`.
    """
    if not _NOT_FOUND.search(words):
        return no_answer(ref, words)
    login = ", or log in with `docker login` if the registry hides it" if _WANTS_LOGIN.search(words) else ""
    return OutsideError(
        IMAGE_NOT_FOUND,
        f"the registry has no image {ref}",
        why=shown(words),
        next=f"push {ref}, or correct the reference{login}",
    )


def no_answer(ref: str, words: str, *, asked_from: str = "the host") -> OutsideError:
    """`registry-unreachable`: nothing was heard, or nothing that says whether the image exists."""
    return OutsideError(
        REGISTRY_UNREACHABLE,
        f"the registry of {ref} gives no usable answer",
        why=shown(words),
        next=f"try `docker pull {ref}` on {asked_from}",
    )


def registry_digest(ref: str, answer: Answer) -> str:
    """The digest in an answer of `GET /distribution/<name>/json`.

    Raises OutsideError `registry-unreachable` when there is none.
    """
    descriptor: Answer = answer.get("Descriptor") or {}
    digest = str(descriptor.get("digest") or "")
    if not digest.startswith("sha256:"):
        raise no_answer(ref, f"the engine passed on {digest!r} as its digest")
    return digest


def check_progress(ref: str, line: Answer) -> None:
    """Raise what a line of a pull's progress says went wrong: the engine answers 200 before it knows."""
    if "error" in line or "errorDetail" in line:
        detail: Answer = line.get("errorDetail") or {}
        raise image_unavailable(ref, str(detail.get("message") or line.get("error")))


def pull_name(ref: str) -> tuple[str, str]:
    """Repository, and tag or digest, as a pull wants them; a tag beside a digest says nothing."""
    name, separator, digest = ref.partition("@")
    head, slash, last = name.rpartition("/")
    short, _, tag = last.partition(":")
    return f"{head}{slash}{short}", digest if separator else tag or "latest"
