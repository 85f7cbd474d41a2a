"""A seal: a signed statement that the log, up to a position, has this hash.

A chain shows what was changed by somebody who could not reckon it anew. Whoever may write the file can; so
from time to time the head's position and hash are signed, and the statement leaves the machine. A log that
is cut, emptied or rewritten afterwards no longer has that hash at that position, and no key makes it so.

A seal kept in the log alone proves the part before it against whoever has not the key, and says nothing
about the end. The signed bytes begin with words that no other use of the key begins with, then canonical
JSON of all but the signature.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from events.ed25519 import PublicKeys, is_signature, parse_public_pem
from events.kernel.canonical import canonical_json
from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from pathlib import Path

    from events.ed25519 import SigningKey

SEAL_UNREADABLE = error_code("seal-unreadable", "A file of seals cannot be read or holds something else.")
PUBLIC_KEY_UNREADABLE = error_code(
    "public-key-unreadable", "A file of public keys cannot be read or holds something else."
)

_SEAL_WORDS = b"stagecraft seal 1\n"
_KEY_WORDS = b"stagecraft seal key 1\n"
_MAX_FILE_BYTES = 64 * 1024 * 1024  # a seal a minute for more than three months


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One seal; as JSON an object with exactly these keys."""

    log_id: str
    lineage: str
    position: int  # the last event that is covered
    hash: str  # the chain's hash there, hex
    at: str  # when it was made, RFC 3339
    key_id: str
    signature: str  # hex; over all the rest

    def as_json(self) -> dict[str, Any]:
        """The object that leaves the machine."""
        return asdict(self)

    def line(self) -> bytes:
        """The object as one line of a file of seals."""
        return canonical_json(self.as_json()) + b"\n"

    def is_signed_by(self, public_key: bytes) -> bool:
        """Whether this public key made the signature."""
        return is_signature(public_key, self.signature, self.signed_bytes())

    def signed(self, key: SigningKey) -> Seal:
        """The same statement under a key's name and signature."""
        named = replace(self, key_id=key.id)
        return replace(named, signature=key.sign(named.signed_bytes()))

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        rest = self.as_json()
        del rest["signature"]
        return _SEAL_WORDS + canonical_json(rest)


def handed_over(former: SigningKey, public_key: bytes) -> str:
    """The former key's signature over the key that follows it."""
    return former.sign(_KEY_WORDS + public_key)


def is_handed_over(former: bytes, public_key: bytes, signature: str) -> bool:
    """Whether `former`, a public key, named `public_key` the one that follows it."""
    return is_signature(former, signature, _KEY_WORDS + public_key)


def parse_seal(value: object) -> Seal:
    """A seal from its JSON object. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError("a seal is a JSON object")  # noqa: TRY004 - one kind of error for all that is no seal
    found = cast("dict[str, Any]", value)
    position = found.get("position")
    if not isinstance(position, int) or isinstance(position, bool) or position < 0:
        raise ValueError("a seal has a position")
    texts = ("log_id", "lineage", "hash", "at", "key_id", "signature")
    if missing := [name for name in texts if not isinstance(found.get(name), str)]:
        raise ValueError(f"a seal has {', '.join(missing)}")
    return Seal(position=position, **{name: found[name] for name in texts})


def read_seals(path: Path) -> tuple[Seal, ...]:
    """The seals of a file: one JSON object, or one on each line, newest last; at least one.

    Raises UserError `seal-unreadable`.
    """
    content = _content(path, code=SEAL_UNREADABLE, hint=_SEAL_HINT)
    try:
        return _parsed_seals(content)
    except ValueError as error:
        raise _unreadable(path, code=SEAL_UNREADABLE, why=str(error), hint=_SEAL_HINT) from error


def _parsed_seals(content: bytes) -> tuple[Seal, ...]:
    try:
        whole = json.loads(content)
    except ValueError:
        lines = [line for line in content.splitlines() if line.strip()]
        if not lines:
            raise ValueError("there is no seal in it") from None
        return tuple(parse_seal(json.loads(line)) for line in lines)
    return (parse_seal(whole),)


def read_public_keys(path: Path) -> PublicKeys:
    """The keys of a file, one PEM block or several. Raises UserError `public-key-unreadable`."""
    content = _content(path, code=PUBLIC_KEY_UNREADABLE, hint=_KEY_HINT)
    try:
        return parse_public_pem(content)
    except ValueError as error:
        raise _unreadable(path, code=PUBLIC_KEY_UNREADABLE, why=str(error), hint=_KEY_HINT) from error


def _content(path: Path, *, code: str, hint: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, code=code, why=str(error), hint=hint) from error
    if len(content) > _MAX_FILE_BYTES:
        raise _unreadable(path, code=code, why=f"it is larger than {_MAX_FILE_BYTES} bytes", hint=hint)
    return content


def _unreadable(path: Path, *, code: str, why: str, hint: str) -> UserError:
    return UserError(code, f"{path} cannot be used", where=Where(file=str(path)), why=why, next=hint)


_SEAL_HINT = "name a file with seals as `stagecraft audit seal` writes them"
_KEY_HINT = "name a file as `stagecraft audit key show` writes it"
