"""One byte form for each JSON value: what digests are taken over and what the log stores.

Keys sorted by code point, no spaces, UTF-8 without escapes for what needs none, no NaN. The same JSON text,
however it was spaced and ordered, has the same bytes on every machine, so a digest names a value. Numbers
are kept as they are: `1` and `1.0` are two values, as they are two to a reader of the text.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence


def canonical_json(value: object) -> bytes:
    """The canonical bytes of a JSON value. Raises TypeError or ValueError for what JSON cannot hold."""
    _check_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_digest(content: bytes) -> str:
    """`sha256:` and 64 lower-case hex digits."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of(value: object) -> str:
    """The digest of a JSON value's canonical bytes."""
    return sha256_digest(canonical_json(value))


def _check_keys(value: object) -> None:
    """Raise TypeError for a key that is no text.

    `json` would write `10` as `"10"`, but sort it as a number: after one reading the bytes would differ.
    """
    if isinstance(value, dict):
        for key, inner in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise TypeError(f"a JSON object has text keys, not {key!r}")
            _check_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in cast("Sequence[object]", value):
            _check_keys(inner)
