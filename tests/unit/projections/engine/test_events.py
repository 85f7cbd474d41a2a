"""The engine's event stream as hints: what is said, what a broken, silent or flooded stream leads to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

import pytest
import urllib3.exceptions

from events.kernel.errors import OutsideError
from projections.engine.api import Answer, DockerApi
from projections.engine.errors import engine_unreachable
from projections.engine.events import Listen, event_of, follow
from projections.engine.watch_port import EngineEvent
from tests.support.time import FakeClock

_DIED: Answer = {
    "Action": "die",
    "Actor": {
        "Attributes": {
            "stagecraft.project": "shop",
            "stagecraft.environment": "prod",
            "stagecraft.service": "web",
            "com.docker.compose.project": "shop-prod",
        }
    },
}
_LEFT: Answer = {
    "Type": "network",
    "Action": "disconnect",
    "Actor": {"ID": "n1", "Attributes": {"container": "c1", "name": "shop-prod_default", "type": "bridge"}},
}
_NETWORK_GONE: Answer = {**_LEFT, "Action": "destroy"}
_HINT = EngineEvent(environment="shop/prod", service="web", action="die")


class ScriptedStream:
    """Stands for the SDK's stream: answers, then an error, an end, or silence until it is closed."""

    def __init__(self, answers: list[Answer], then: Exception | str) -> None:
        self.answers, self.then = answers, then
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Answer]:
        yield from self.answers
        if isinstance(self.then, Exception):
            raise self.then
        if self.then == "stay":
            self.closed.wait(5)

    def close(self) -> None:
        """End the silence."""
        self.closed.set()


class ScriptedApi:
    """Stands for the client: one stream after another, then nobody answers."""

    def __init__(self, *streams: ScriptedStream) -> None:
        self.streams = list(streams)
        self.asked: list[dict[str, Any]] = []

    def events(self, **options: Any) -> ScriptedStream:  # noqa: ANN401  # what the SDK is given
        """The next stream."""
        self.asked.append(options)
        if not self.streams:
            raise engine_unreachable("scripted", "gone")
        return self.streams.pop(0)


def _listen(api: ScriptedApi) -> Listen:
    async def listen(read: Callable[[DockerApi], None]) -> None:
        await asyncio.to_thread(read, cast("DockerApi", api))

    return listen


def _heard(api: ScriptedApi, *, limit: int = 10_000) -> list[EngineEvent]:
    heard: list[EngineEvent] = []

    async def story() -> None:
        async with asyncio.timeout(5), aclosing(follow(_listen(api), clock=FakeClock())) as events:
            async for event in events:
                heard.append(event)
                if len(heard) == limit:
                    return

    asyncio.run(story())
    return heard


def test_the_first_hint_says_that_it_listens_and_closing_ends_the_stream() -> None:
    stream = ScriptedStream([_DIED], "stay")
    api = ScriptedApi(stream)
    assert _heard(api, limit=2) == [EngineEvent(), _HINT]
    assert stream.closed.is_set()
    assert "label" not in api.asked[0]["filters"], "what is said of networks has no label"


def test_a_container_that_compose_did_not_make_is_passed_over() -> None:
    stranger: Answer = {"Type": "container", "Action": "die", "Actor": {"ID": "c2", "Attributes": {}}}
    assert _heard(ScriptedApi(ScriptedStream([stranger, _DIED], "stay")), limit=2)[1] == _HINT


def test_a_container_that_left_a_network_is_told_by_its_id() -> None:
    heard = _heard(ScriptedApi(ScriptedStream([_NETWORK_GONE, _LEFT], "stay")), limit=2)
    assert heard[1] == EngineEvent(environment="", action="disconnect", container="c1")


def test_a_stream_that_broke_is_asked_for_again_and_anything_may_have_happened() -> None:
    api = ScriptedApi(ScriptedStream([_DIED], "end"), ScriptedStream([_DIED], "stay"))
    assert _heard(api, limit=4) == [EngineEvent(), _HINT, EngineEvent(), _HINT]


def test_a_silent_stream_is_asked_for_again_and_nothing_was_missed() -> None:
    silence = urllib3.exceptions.ReadTimeoutError(cast("Any", None), "/events", "silent")
    api = ScriptedApi(ScriptedStream([], silence), ScriptedStream([_DIED], "stay"))
    assert _heard(api, limit=2) == [EngineEvent(), _HINT]


def test_an_engine_that_is_gone_raises() -> None:
    with pytest.raises(OutsideError):
        _heard(ScriptedApi())


def test_a_flood_becomes_one_hint_to_look_everywhere() -> None:
    heard = _heard(ScriptedApi(ScriptedStream([_DIED] * 5000, "stay")), limit=2)
    assert len(heard) == 2
    assert heard[-1] in (_HINT, EngineEvent())


@pytest.mark.parametrize(
    "answer", [{}, {"Actor": None}, {"Actor": {"Attributes": {"stagecraft.project": 3}}}]
)
def test_an_object_without_our_labels_means_look_everywhere(answer: Answer) -> None:
    assert event_of(answer).environment is None


def test_a_container_without_our_labels_is_told_by_its_id() -> None:
    stranger: Answer = {"Action": "die", "Actor": {"ID": "c1", "Attributes": {"name": "db"}}}
    assert event_of(stranger) == EngineEvent(environment="", action="die", container="c1")
