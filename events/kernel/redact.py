"""The one redactor: every text from outside passes it before it is shown, raised or recorded.

Two kinds of knowledge: shapes that are credentials wherever they stand (a password in a URL, a token of a
known make, `PASSWORD=...`), and the values this process was given as secrets, also in the forms in which
other programs print them. Values shorter than four characters are left alone: replacing each `a` of a
message would hide the message and no secret.

A shape that is in doubt is masked: a hidden word costs a look, a shown password costs a rotation. Patterns
are bounded or begin at a fixed mark, so that a hostile log cannot make them slow.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus

MASK = "***"
_MIN_SECRET_LENGTH = 4
_MIN_LINE_LENGTH = 8  # a line of a secret of several lines, such as a key file

_NAME = (
    r"(?:passwords?|passwd|passphrase|(?<![a-z])pass|secrets?|tokens?|credentials?"
    r"|(?:api|access|private|signing|account|auth)[_-]?key)"
)
_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]{0,100}\}"  # names a variable, and holds nothing
_NO_REFERENCE = rf"(?![\"']?{_REFERENCE}(?:[\s,;&\"']|\Z))"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL),
        MASK,
    ),
    (
        # credentials in a URL; the second form is for a password with an unescaped slash, but not for a port
        re.compile(
            r"(?<![a-zA-Z0-9+.-])(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)"
            rf"(?![^/\s:@'\"$]{{0,100}}:{_REFERENCE}@)"
            r"(?:[^/\s'\"]{1,1000}|[^/\s:@'\"]{0,100}:(?!\d{1,5}/)[^\s'\"]{1,200}?)@"
        ),
        rf"\g<scheme>{MASK}@",
    ),
    (
        re.compile(
            r"(?i)\b(?P<head>(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?)"
            r"(?:(?:basic|bearer|digest|negotiate|token)\s+)?[^\s\"',]+"
        ),
        rf"\g<head>{MASK}",
    ),
    (re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/=-]{8,}"), MASK),
    (
        # password=..., --token=..., ?access_token=..., "secret" = "..."
        re.compile(
            rf"(?i)(?P<name>{_NAME}[a-z0-9_.-]{{0,40}}[\"']?[ \t]{{0,4}}=[ \t]{{0,4}}){_NO_REFERENCE}"
            r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s&,;\"']+)"
        ),
        rf"\g<name>{MASK}",
    ),
    (
        # "password": "..."
        re.compile(
            rf"(?i)(?P<name>{_NAME}[a-z0-9_.-]{{0,40}}(?P<quote>[\"'])\s{{0,4}}:\s{{0,4}}){_NO_REFERENCE}"
            r"(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')"
        ),
        rf'\g<name>"{MASK}"',
    ),
    (
        # DB_PASSWORD: ... as in a Compose file; lower case would hit sentences ("secret: not found")
        re.compile(
            r"(?P<name>(?:PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|[A-Z]_?KEY)[A-Z0-9_]{0,40}:[ \t]+)"
            rf"{_NO_REFERENCE}\S+"
        ),
        rf"\g<name>{MASK}",
    ),
    (
        re.compile(
            r"\bgh[opusr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bdckr_pat_[\w-]{16,}"
            r"|\bxox[abeoprs]-[\w-]{10,}|\bnpm_[A-Za-z0-9]{30,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
            r"|\b[rs]k_(?:live|test)_\w{16,}|AGE-SECRET-KEY-1[0-9A-Za-z]{20,}"
            r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"
        ),
        MASK,
    ),
)
_LINE_END = re.compile(r"\r+\n?")
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # titles, links
    r"|\x1b[ -/]*[0-~]"  # the other sequences
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"  # direction marks, foreign line ends
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Redactor:
    """Masks credentials by shape and the secrets it was told of by value; threads may share it."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def learn(self, value: str) -> None:
        """Mask `value` wherever it appears from now on, also escaped, encoded or line by line."""
        with self._lock:
            self._values |= {form for form in _forms(value) if len(form) >= _MIN_SECRET_LENGTH}

    def forget(self) -> None:
        """Mask by shape alone again; for tests, where one case must not colour the next."""
        with self._lock:
            self._values = frozenset()

    def __call__(self, text: str) -> str:
        """`text` without credentials."""
        masked = _without(text, self._values)
        for shape, replacement in _SHAPES:
            masked = shape.sub(replacement, masked)
        return masked


def _forms(value: str) -> set[str]:
    """The ways in which other programs may print `value`."""
    plain = value.strip()
    if not plain:
        return set()
    lines = {line.strip() for line in plain.splitlines()}
    return {
        plain,
        plain.replace("$", "$$"),  # as Compose wants it written
        quote(plain),
        quote(plain, safe=""),
        quote_plus(plain),
        json.dumps(plain)[1:-1],
        json.dumps(plain, ensure_ascii=False)[1:-1],
        base64.b64encode(plain.encode(errors="surrogatepass")).decode().rstrip("="),
        *(line for line in lines if len(line) >= _MIN_LINE_LENGTH),
    }


def _without(text: str, values: frozenset[str]) -> str:
    """`text` with one mask for each stretch that values cover; they may overlap."""
    spans = sorted(span for value in values for span in _spans(text, value))
    pieces: list[str] = []
    end = 0  # of what is done
    for start, stop in spans:
        if start >= end:
            pieces += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])


def _spans(text: str, value: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    start = text.find(value)
    while start >= 0:
        found.append((start, start + len(value)))
        start = text.find(value, start + 1)
    return found


def printable(text: str) -> str:
    """`text` without terminal control sequences and direction marks; tabs stay, lines end with a newline.

    What could not be decoded becomes U+FFFD, so that every result can be written as UTF-8.
    """
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", _LINE_END.sub("\n", text)))


REDACT = Redactor()
"""The process-wide redactor: what one part learns, all parts mask."""
