"""Requests to registries and their answers, as `client.py` words them and `wire.py` sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus


class NoAnswerError(Exception):
    """The registry gives no usable answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that was read to its end."""

    status: int
    headers: Mapping[str, str]  # names in lower case; what came several times is joined by `, `
    offers: tuple[str, ...]  # each `WWW-Authenticate`
    body: bytes

    @property
    def phrase(self) -> str:
        """The status in words, else its number."""
        return HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else str(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request; what stands in `headers` goes to the first address only."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)  # user and password, likewise
    query: Mapping[str, str] | None = None  # added to what the address has
    form: Mapping[str, str] | None = field(default=None, repr=False)  # a body, which no redirect carries on
