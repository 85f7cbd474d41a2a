"""Deliveries over HTTP: the real server on the loopback, with clients that behave and some that do not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from controller.api.hooks import MOST_BYTES, Hooks
from controller.api.secrets import hook_secrets
from controller.api.server import Server, listen
from controller.home import Home
from controller.repositories import BranchRules, WatchedBranch, watched
from events.kernel.errors import OutsideError, UserError
from gitops.source.webhook import HookKind
from tests.support.time import FakeClock

SECRET = b"between the two of us"
PATH = "/hooks/github/shop-1a2b"


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}


@dataclass
class House:
    hooks: Hooks
    client: httpx.AsyncClient
    address: str
    clock: FakeClock
    woken: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    said: list[str] = field(default_factory=list[str])

    async def post(self, body: bytes = b"{}", *, path: str = PATH, secret: bytes = SECRET) -> httpx.Response:
        return await self.client.post(path, content=body, headers=signed(body, secret))


@asynccontextmanager
async def serving() -> AsyncGenerator[House]:
    woken: list[tuple[str, str]] = []
    said: list[str] = []
    clock = FakeClock()
    hooks = Hooks(
        secrets={"shop-1a2b": {"github": (SECRET,), "gitlab": (b"token",)}},
        wake=lambda slug, reason: woken.append((slug, reason)),
        clock=clock,
        say=said.append,
    )
    server = Server(routes=hooks.routes(), listening=listen("127.0.0.1:0"))
    running = asyncio.create_task(server.run())
    try:
        async with httpx.AsyncClient(
            base_url=f"http://{server.address}", timeout=60, trust_env=False
        ) as client:
            yield House(
                hooks=hooks, client=client, address=server.address, clock=clock, woken=woken, said=said
            )
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def run(story: Callable[[House], Awaitable[None]]) -> None:
    async def told() -> None:
        async with serving() as house:
            await story(house)

    asyncio.run(told())


def test_a_signed_delivery_is_accepted_and_wakes_its_repository_once() -> None:
    async def story(house: House) -> None:
        answer = await house.post(b'{"ref": "refs/heads/main"}')
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
        assert house.woken == [("shop-1a2b", "github webhook")]
        assert house.hooks.accepted == {"shop-1a2b": 1}
        assert house.said == []

    run(story)


@pytest.mark.parametrize(
    ("path", "headers", "reason"),
    [
        (PATH, {}, "signature-missing"),
        (PATH, signed(b"{}", b"another"), "signature-wrong"),
        (PATH, signed(b"{} "), "signature-wrong"),
        ("/hooks/github/nobody", signed(b"{}"), "signature-wrong"),
        ("/hooks/gitea/shop-1a2b", signed(b"{}"), "signature-wrong"),
        ("/hooks/bitbucket/shop-1a2b", signed(b"{}"), "signature-wrong"),
        ("/hooks/gitlab/shop-1a2b", {"X-Gitlab-Token": "tokens"}, "signature-wrong"),
    ],
)
def test_what_is_not_proved_is_refused_and_wakes_nobody(
    path: str, headers: dict[str, str], reason: str
) -> None:
    async def story(house: House) -> None:
        answer = await house.client.post(path, content=b"{}", headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"status": "refused", "reason": reason}
        assert house.woken == []
        assert house.said == [f"webhook refused: {reason}, from 127.0.0.1 to {path}"]

    run(story)


def test_a_refusal_does_not_show_whether_there_is_such_a_repository() -> None:
    async def story(house: House) -> None:
        known = await house.client.post(PATH, content=b"{}")
        unknown = await house.client.post("/hooks/github/nobody", content=b"{}")
        assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())

    run(story)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("POST", "/hooks", 404)])
def test_other_methods_and_paths_are_no_deliveries(method: str, path: str, status: int) -> None:
    async def story(house: House) -> None:
        answer = await house.client.request(method, path)
        assert answer.status_code == status
        assert house.woken == []

    run(story)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_may_have_one_mebibyte_and_no_more(*, declared: bool) -> None:
    async def story(house: House) -> None:
        assert (await house.post(b" " * MOST_BYTES)).status_code == 202
        large = b" " * (MOST_BYTES + 1)

        async def pieces() -> AsyncGenerator[bytes]:
            yield large

        content = large if declared else pieces()
        answer = await house.client.post(PATH, content=content, headers=signed(large))
        assert (answer.status_code, answer.json()["reason"]) == (413, "too-large")
        assert len(house.woken) == 1

    run(story)


def test_a_body_of_60_megabytes_is_read_to_its_end_and_refused() -> None:
    async def story(house: House) -> None:
        async def pieces() -> AsyncGenerator[bytes]:
            for _ in range(60):
                yield b"[" * 1_000_000

        answer = await house.client.post(PATH, content=pieces(), headers=signed(b""))
        assert answer.status_code == 413
        assert (await house.post()).status_code == 202

    run(story)


def test_a_flood_of_signed_deliveries_is_slowed_down_and_the_next_one_counts_again() -> None:
    async def story(house: House) -> None:
        answers = [await house.post() for _ in range(40)]
        assert [one.status_code for one in answers] == [202] * 30 + [429] * 10
        assert answers[-1].headers["retry-after"] == "1"
        assert len(house.woken) == 30
        house.clock.advance(2.5)
        assert [(await house.post()).status_code for _ in range(3)] == [202, 202, 429]

    run(story)


def test_refusals_of_a_source_make_one_line_a_minute() -> None:
    async def story(house: House) -> None:
        for _ in range(50):
            await house.post(secret=b"another")
        assert len(house.said) == 1
        house.clock.advance(61)
        await house.post(secret=b"another")
        assert house.said[1:] == [
            f"webhook refused: signature-wrong, from 127.0.0.1 to {PATH} (49 more since the last such line)"
        ]
        assert house.hooks.refusals.counts == {"signature-wrong": 51}

    run(story)


def test_refused_ones_take_nothing_from_those_that_are_signed() -> None:
    async def story(house: House) -> None:
        for _ in range(60):
            await house.post(secret=b"another")
        assert (await house.post()).status_code == 202

    run(story)


def test_bodies_that_never_end_are_bounded_and_those_beyond_are_sent_away() -> None:
    async def story(house: House) -> None:
        host, _colon, port = house.address.rpartition(":")
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()
        open_ones = [await asyncio.open_connection(host, int(port)) for _ in range(32)]
        try:
            for _reader, writer in open_ones:
                writer.write(head + b"[")
                await writer.drain()
            async with asyncio.timeout(60):
                while (answer := await house.post()).status_code != 503:
                    assert answer.status_code in {202, 429}
            assert answer.json()["reason"] == "too-many-at-once"
        finally:
            for _reader, writer in open_ones:
                writer.close()
                await writer.wait_closed()
        async with asyncio.timeout(60):
            while (await house.post()).status_code == 503:
                pass

    run(story)


def test_an_address_that_is_taken_is_an_error_with_its_place() -> None:
    with listen("127.0.0.1:0") as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OutsideError, match="cannot listen") as caught:
            listen(address)
    assert caught.value.code == "listen-failed"


def test_an_address_of_another_machine_is_the_same_error() -> None:
    with pytest.raises(OutsideError) as caught:
        listen("192.0.2.1:80")
    assert caught.value.code == "listen-failed"


def test_an_address_of_ip_version_6_is_taken() -> None:
    with listen("[::1]:0") as taken:
        assert taken.getsockname()[0] == "::1"


def place(home: Path, url: str, *webhooks: tuple[HookKind, str]) -> WatchedBranch:
    rules = BranchRules(entry="repositories[0]", webhooks=webhooks)
    return WatchedBranch(watched=watched(Home(home), url, cwd=home), branch="main", rules=rules)


def test_secrets_come_from_the_environment_by_repository_and_kind(tmp_path: Path) -> None:
    one, two = "ssh://git@example.org/one", "ssh://git@example.org/two"
    places = [
        place(tmp_path, one, ("github", "A")),
        place(tmp_path, one, ("github", "B"), ("gitlab", "A")),
        place(tmp_path, two),
    ]
    found = hook_secrets(places, {"A": "aaaa ", "B": "bbbb"})
    assert found == {places[0].key.slug: {"github": (b"aaaa", b"bbbb"), "gitlab": (b"aaaa",)}}


@pytest.mark.parametrize("environ", [{}, {"A": " "}])
def test_a_variable_that_is_not_set_is_an_error_with_its_key(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        hook_secrets([place(tmp_path, "ssh://git@example.org/one", ("github", "A"))], environ)
    assert caught.value.code == "webhook-secret-missing"
    assert caught.value.where.key == "repositories[0].webhooks.github.secret_env"
