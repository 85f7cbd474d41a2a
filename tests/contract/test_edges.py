"""Every gateway: what it is told is on its host, whole, and counts once it says so itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Generator
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError, StagecraftError, UserError
from events.routes import Route
from projections.edge.port import (
    GATEWAY_FILE_FOREIGN,
    GATEWAY_SILENT,
    NOT_CONFIRMED,
    ROUTE_NOT_CONFIRMED,
    ROUTE_REFUSED,
    Backends,
    Counters,
    Told,
)
from projections.edge.traefik_files import ADMIN_FILE, file_name, written
from tests.contract import edges
from tests.contract.edges import IN_VAIN, PATIENCE, Adapter, backends, page, server

MADE = {
    "simulated": edges.simulated,
    "traefik": edges.traefik,
    "traefik-over-ssh": edges.traefik_over_ssh,
    "caddy": edges.caddy,
}
MANY = (
    Route(host="web.localhost", service="web", port=8080),
    Route(host="web.localhost", path="/api/ü", service="web", port=8080, sticky=True),
    Route(host="*.localhost", service="web", port=8080),
    Route(host="*", path="/ping", service="web", port=8080),
    Route(host="safe.localhost", service="web", port=8443, protocol="https", tls=True),
    Route(host="rpc.localhost", service="web", port=9000, protocol="h2c"),
    Route(host="*", service="web", port=9000, protocol="tcp", entry_point="raw"),
)


@pytest.fixture(
    params=["simulated", "traefik", pytest.param("traefik-over-ssh", marks=pytest.mark.slow), "caddy"]
)
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Adapter]:
    """A gateway under test."""
    with MADE[request.param](tmp_path) as made:
        yield made


async def _said(adapter: Adapter, one: Backends) -> float:
    await adapter.edge.tell(one)
    return await adapter.edge.confirm(one, seconds=PATIENCE)


async def _error(call: Awaitable[object]) -> StagecraftError:
    with pytest.raises(StagecraftError) as caught:
        await call
    return caught.value


def test_what_it_is_told_is_read_back_and_done(adapter: Adapter) -> None:
    ports = (8080, 8443, 9000)
    many = tuple(route for route in MANY if adapter.can_pass_bytes or route.protocol != "tcp")
    shapes = [
        backends("web", "aa"),
        backends("web", "aa", "bb"),
        backends("web"),
        backends("web", "bb", retries=True),
        backends("web", page=page("dd")),
        backends("web", page=page()),
        backends("web", retries=True, page=page("dd", "ee", path="/other.html")),
        backends("web", "cc", routes=(Route(host="other.localhost", service="web", port=8080),)),
        backends("web", routes=many).model_copy(
            update={"servers": (server("aa", weight=9, ports=ports), server("bb", ports=ports))}
        ),
    ]

    async def run() -> None:
        edge = adapter.edge
        assert edge.host == "h1"
        assert await edge.runs()
        assert await edge.told() == Told()
        for shape in shapes:
            assert await _said(adapter, shape) < PATIENCE
            assert await adapter.again().told() == Told(backends={"web": shape})
            assert await adapter.again().confirm(shape, seconds=PATIENCE) < PATIENCE
        if adapter.can_count:
            assert await edge.counters(shapes[0]) == Counters(requests=0, failed=0)

    asyncio.run(run())


def test_it_confirms_what_it_does_and_nothing_else(adapter: Adapter) -> None:
    told = backends("web", "aa", "bb")
    others = [
        backends("web", "aa"),
        backends("web", "aa", "cc"),
        backends("web", "aa", "bb", "cc"),
        backends("web", "aa", "bb", routes=(Route(host="x.localhost", service="web", port=8080),)),
        backends("web", "aa", "bb", retries=True),
        told.model_copy(update={"routes": (told.routes[0].model_copy(update={"sticky": True}),)}),
        told.model_copy(update={"servers": (server("aa", weight=3), server("bb"))}),
    ]

    async def run() -> None:
        await _said(adapter, told)
        for other in others:
            error = await _error(adapter.edge.confirm(other, seconds=0.05))
            assert error.code == ROUTE_NOT_CONFIRMED, error
            assert error.where.host == "h1"
        await adapter.edge.confirm(told, seconds=PATIENCE)

    asyncio.run(run())


def test_it_confirms_the_page_that_it_shows_and_no_other(adapter: Adapter) -> None:
    told = backends("web", page=page("dd"))
    others = [
        backends("web"),
        backends("web", page=page("ee")),
        backends("web", page=page("dd", "ee")),
        backends("web", page=page("dd", path="/other.html")),
        backends("web", "aa"),
    ]

    async def run() -> None:
        await _said(adapter, told)
        for other in others:
            error = await _error(adapter.edge.confirm(other, seconds=0.05))
            assert error.code == ROUTE_NOT_CONFIRMED, error
        await adapter.edge.confirm(told, seconds=PATIENCE)
        await _said(adapter, backends("web", "aa"))

    asyncio.run(run())


def test_services_whose_names_contain_one_another_stay_apart(adapter: Adapter) -> None:
    names = ("web", "web-2", "web.route", "my-web")

    async def run() -> None:
        edge, told = adapter.edge, {name: backends(name, "aa") for name in names}
        for one in told.values():
            await _said(adapter, one)
        await edge.forget("web")
        await edge.forget("web")
        await edge.confirm_gone("shop-prod-web", seconds=PATIENCE)
        assert set((await edge.told()).backends) == {*names} - {"web"}
        for name in sorted({*names} - {"web"}):
            await edge.confirm(told[name], seconds=PATIENCE)
        error = await _error(edge.confirm_gone("shop-prod-web-2", seconds=0.05))
        assert error.code == ROUTE_NOT_CONFIRMED

    asyncio.run(run())


def test_a_change_by_hand_is_seen_and_put_right(adapter: Adapter) -> None:
    told = {name: backends(name, "aa") for name in ("db", "web")}

    async def run() -> None:
        for one in told.values():
            await _said(adapter, one)
        path = adapter.routes / file_name("web")
        as_told = path.read_bytes()
        for content in (
            as_told.replace(b"http://aaaaaaaaaaaa:8080", b"http://somebody:8080"),
            as_told.replace(b'"aaaaaaaaaaaa:8080"', b'"somebody:8080"'),
            as_told + b"\n",
            as_told.partition(b"\n")[2],
            as_told[: len(as_told) // 2],
            as_told.replace(b'"service":"web"', b'"service":"db"'),
            b"",
        ):
            path.write_bytes(content)
            found = await adapter.edge.told()
            assert (set(found.backends), found.altered) == ({"db"}, ("web",))
        await _said(adapter, told["web"])
        assert await adapter.edge.told() == Told(backends=told)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "content"),
    [("bad.yml", "http: [\n"), ("sub/typo.yaml", "http: {services: {a: {loadBalancer: {srvers: []}}}}\n")],
)
def test_a_foreign_file_that_stops_it_is_named_until_it_is_gone(
    adapter: Adapter, name: str, content: str
) -> None:
    before, after = backends("web", "aa"), backends("web", "bb")
    if not adapter.can_be_stopped_by_files:
        return

    async def run() -> None:
        edge = adapter.edge
        await _said(adapter, before)
        _put_in_one_step(adapter, name, content)
        adapter.cannot_read(name)
        await edge.tell(after)
        error = await _error(edge.confirm(after, seconds=IN_VAIN))
        assert error.code == GATEWAY_FILE_FOREIGN, error
        assert error.code in NOT_CONFIRMED
        assert Path(name).name in error.message
        assert (await edge.told()).foreign == (name,)
        await _put_back_and_go_on(adapter, before, after, name)

    asyncio.run(run())


def _put_in_one_step(adapter: Adapter, name: str, content: str) -> None:
    """A file that is whole once it, or its folder, is there: Traefik watches no folder that came later."""
    aside = adapter.folder / "aside"
    (aside / name).parent.mkdir(parents=True)
    (aside / name).write_text(content)
    first = Path(name).parts[0]
    (aside / first).rename(adapter.routes / first)


async def _put_back_and_go_on(adapter: Adapter, before: Backends, after: Backends, name: str) -> None:
    await adapter.edge.tell(before)
    (adapter.routes / name).unlink()
    await adapter.edge.confirm(before, seconds=PATIENCE)
    await _said(adapter, after)


def test_what_a_gateway_does_not_read_or_may_have_is_not_foreign(adapter: Adapter) -> None:
    async def run() -> None:
        await _said(adapter, backends("web", "aa"))
        for name in ("stagecraft.yml", "mounted.toml"):
            (adapter.routes / name).touch()
        for name in (".web.route.yml.0123456789ab", "README.md", "fine.yml", "own/x.toml"):
            (adapter.routes / name).parent.mkdir(exist_ok=True)
            (adapter.routes / name).write_text("# nothing\n")
        assert (await adapter.edge.told()).foreign == ("fine.yml", "own/x.toml")
        await _said(adapter, backends("web", "bb"))

    asyncio.run(run())


def test_one_that_does_not_run_is_told_and_does_it_from_its_start_on(adapter: Adapter) -> None:
    first, second = backends("web", "aa"), backends("web", "bb")

    async def run_before() -> None:
        await _said(adapter, first)

    async def run_without() -> None:
        edge = adapter.edge
        assert not await edge.runs()
        await edge.tell(second)
        for call in (
            edge.confirm(second, seconds=0.1),
            edge.confirm_gone("shop-prod-web", seconds=0.1),
            edge.counters(second),
        ):
            error = await _error(call)
            assert isinstance(error, OutsideError)
            assert (error.code, error.where.host) == (GATEWAY_SILENT, "h1")
        assert (await edge.told()).backends == {"web": second}

    async def run_after() -> None:
        assert await adapter.edge.runs()
        await adapter.edge.confirm(second, seconds=PATIENCE)

    asyncio.run(run_before())
    adapter.stop()
    asyncio.run(run_without())
    adapter.start()
    asyncio.run(run_after())


@pytest.mark.parametrize(
    "route",
    [
        Route(host="a`) || Host(`b", service="web", port=8080),
        Route(host="a", path="/`) || Host(`b", service="web", port=8080),
        Route(host='{{ env "HOME" }}', service="web", port=8080),
        Route(host="a", path="/{{env}}", service="web", port=8080),
        Route(host="a\nb", service="web", port=8080),
        Route(host="a", path="/\u2028x", service="web", port=8080),
        Route(host="a", path="/\x85x", service="web", port=8080),
        Route(host="a/b", service="web", port=8080),
        Route(host="a", service="web", port=8080, entry_point="web\x00"),
        Route(host="a", service="web", port=8080, tls=True, resolver="`"),
        Route(host="a", service="web", port=9999),
    ],
)
def test_a_text_that_could_mean_something_else_is_refused(tmp_path: Path, route: Route) -> None:
    async def run(adapter: Adapter) -> None:
        error = await _error(adapter.edge.tell(backends("web", "aa", routes=(route,))))
        assert isinstance(error, UserError)
        assert error.code == ROUTE_REFUSED
        assert await adapter.edge.told() == Told()

    with edges.simulated(tmp_path) as adapter:
        asyncio.run(run(adapter))


def test_who_reads_while_it_is_told_sees_one_or_the_other(adapter: Adapter) -> None:
    both = [backends("web", *(f"{number:02x}" for number in range(begin, begin + 40))) for begin in (16, 99)]
    whole = {written(one) for one in both}
    seen, over = set[bytes](), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add((adapter.routes / file_name("web")).read_bytes())

    async def run() -> None:
        await adapter.edge.tell(both[0])
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(12):
                await adapter.edge.tell(both[number % 2])
        finally:
            over.set()
            reader.join()

    asyncio.run(run())
    assert seen <= whole
    names = {path.name for path in adapter.routes.iterdir()}
    assert names - {ADMIN_FILE} == {file_name("web")}


def test_a_folder_that_cannot_be_written_is_an_error_and_changes_nothing(adapter: Adapter) -> None:
    async def run() -> None:
        await _said(adapter, backends("web", "aa"))
        (adapter.routes / file_name("db")).mkdir()
        with pytest.raises(OSError, match=r"directory|ailure|exist"):
            await adapter.edge.tell(backends("db", "aa"))
        assert set((await adapter.edge.told()).backends) == {"web"}

    asyncio.run(run())
