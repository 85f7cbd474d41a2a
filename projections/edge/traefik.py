"""Traefik as a gateway: told by files on its host, asked through its own interface.

Its admin port is published by the engine on some port of the host's loopback, another one after each start,
so it is looked up each time it is asked, and asked over a connection that begins at the host. Where the
gateway's settings are ours it asks for a password, since routed containers share its network. The password
follows from the home's binding key:

    HMAC-SHA256(binding key, "gateway" NUL "<project>/<environment>" NUL "<host>"), in hex

so that it is stored nowhere; what the gateway gets is its digest, in a file of the route folder. A password
of 256 random bits needs no slow digest.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import cast

from events.kernel.errors import OutsideError
from events.routes import Gateway
from projections.edge import traefik_api as api
from projections.edge.admin_port import NoAnswerError, admin_ports
from projections.edge.drain import gateways_at
from projections.edge.folder import FOLDER
from projections.edge.folder_edge import FolderEdge
from projections.edge.http import HostHttp
from projections.edge.port import (
    GATEWAY_FILE_FOREIGN,
    GATEWAY_SILENT,
    ROUTE_NOT_CONFIRMED,
    Backends,
    Counters,
    Place,
)
from projections.edge.sweep import bad_file
from projections.edge.traefik_files import Section, admin_file
from projections.engine.errors import shown

USER = "stagecraft"
_ANSWER_SECONDS = 3.0
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.01, 0.05
_SOON_SECONDS = 0.5  # nearly all is confirmed by then; a gateway with a thousand routes takes longer
_LOG_LINES = 200
_OLD_SECONDS = 60.0  # what it said before may be about what was put right since
_OK = 200


class TraefikEdge(FolderEdge):
    """The Traefik of an environment on one host."""

    def __init__(self, place: Place, gateway: Gateway, *, binding_key: bytes) -> None:
        """`binding_key` is the home's; it may be empty where the gateway asks for no password."""
        super().__init__(place, gateway)
        self._password = password(binding_key, place) if gateway.authenticated and binding_key else None
        self._equipped = False

    async def tell(self, backends: Backends) -> None:
        """See the port."""
        await self._equip()
        await super().tell(backends)

    async def confirm(self, backends: Backends, *, seconds: float) -> float:
        """See the port."""
        wanted = {about: api.wanted_of(backends, *about) for about in api.QUESTIONS}

        async def look(door: _Door) -> str | None:
            for about in api.QUESTIONS:
                known = await door.known(*about, backends.name)
                unlike = api.difference(wanted[about], known, about[1])
                if unlike is not None:
                    return unlike
            return None

        return await self._await(look, seconds=seconds, what=backends.service)

    async def confirm_gone(self, name: str, *, seconds: float) -> float:
        """See the port."""

        async def look(door: _Door) -> str | None:
            for about in api.QUESTIONS:
                for one in await door.known(*about, name):
                    return f"it still knows {one['name']}"
            return None

        return await self._await(look, seconds=seconds, what=name)

    async def counters(self, backends: Backends) -> Counters:
        """See the port."""
        await self._equip()
        requests = failed = 0
        try:
            for door in await self._doors():
                try:
                    found = api.counted((await door.text("/metrics")), backends)
                finally:
                    door.close()
                requests, failed = requests + found.requests, failed + found.failed
        except (OSError, NoAnswerError) as error:
            raise self._silent(str(error)) from error
        return Counters(requests=requests, failed=failed)

    async def _equip(self) -> None:
        """Make sure, once, that there is a door for us."""
        if self._password is not None and not self._equipped:
            digest = hashlib.sha1(self._password.encode(), usedforsecurity=False).digest()
            kept = f"{{SHA}}{base64.b64encode(digest).decode()}"
            await self._folder.put_admin(admin_file(users={USER: kept}))
            self._equipped = True

    async def _await(
        self, look: Callable[[_Door], Awaitable[str | None]], *, seconds: float, what: str
    ) -> float:
        """Look at every replica until none differs; raises as `Edge.confirm`."""
        await self._equip()
        clock = self._place.clock
        begun = clock.monotonic()
        doors: list[_Door] = []
        try:
            while True:
                unlike = unanswered = ""
                try:
                    doors = doors or await self._doors()
                    for door in doors:
                        unlike = unlike or await look(door) or ""
                except (OSError, NoAnswerError) as error:
                    unanswered = str(error) or type(error).__name__
                    _close(doors)
                    doors = []  # started anew, it has another port
                took = clock.monotonic() - begun
                if not unlike and not unanswered:
                    return took
                if took >= seconds:
                    raise await self._failure(what, unlike, unanswered, seconds=seconds)
                await clock.sleep(_PAUSE_SECONDS if took < _SOON_SECONDS else _LONG_PAUSE_SECONDS)
        finally:
            _close(doors)

    async def _doors(self) -> list[_Door]:
        """One for each replica that runs. Raises NoAnswerError."""
        if self._gateway.authenticated and self._password is None:
            raise NoAnswerError("this home has no key to make its password from")
        login = None if self._password is None else (USER, self._password)
        return [
            _Door(HostHttp(self._place.transport, address, port, login=login))
            for address, port in await admin_ports(self._place, self._gateway)
        ]

    async def _failure(self, what: str, unlike: str, unanswered: str, *, seconds: float) -> OutsideError:
        """Started anew beside a file that it cannot read, it does not even know our door."""
        since = self._place.clock.now().timestamp() - seconds - _OLD_SECONDS
        blamed = bad_file(await self._folder.files(), await self._log(since))
        if blamed is not None:
            return OutsideError(
                GATEWAY_FILE_FOREIGN,
                f"the gateway takes no change, because it cannot read {blamed.name}",
                where=self._where,
                why=blamed.why,
                next=f"correct that file, or take it out of {self._place.folder / FOLDER}",
            )
        if unanswered:
            return self._silent(unanswered)
        return OutsideError(
            ROUTE_NOT_CONFIRMED,
            f"the gateway does not pass on {what} as it was told {seconds:g} s ago",
            where=self._where,
            why=shown(unlike),
            next=f"look at what it says: `docker logs` of the container of {self._gateway.service}",
        )

    async def _log(self, since: float) -> tuple[str, ...]:
        """The last lines of every replica."""
        engine = self._place.engine
        found = [
            await engine.logs(one.id, tail=_LOG_LINES, since=since)
            for one in await gateways_at(self._place, self._gateway)
        ]
        return tuple(line for lines in found for line in lines)

    def _silent(self, why: str) -> OutsideError:
        return OutsideError(
            GATEWAY_SILENT,
            f"the gateway {self._gateway.service} does not answer on its admin port",
            where=self._where,
            why=shown(why),
            next=f"look whether it runs, and what it says: `docker logs` of {self._gateway.service}",
        )


class _Door:
    """The admin port of one container."""

    def __init__(self, http: HostHttp) -> None:
        self._http = http

    def close(self) -> None:
        self._http.close()

    async def text(self, path: str) -> str:
        """Raises OSError, NoAnswerError."""
        status, body = await self._http.get(path, seconds=_ANSWER_SECONDS)
        if status != _OK:
            raise NoAnswerError(f"GET {path.partition('?')[0]} answers {status}")
        return body.decode(errors="replace")

    async def known(self, kind: api.Kind, thing: api.Thing, name: str) -> list[Section]:
        """What it knows of a service. Raises OSError, NoAnswerError."""
        found: list[Section] = []
        page = 1
        while True:
            try:
                answer: object = json.loads(await self.text(api.question(kind, thing, name, page)))
            except ValueError as error:
                raise NoAnswerError(f"its answer is no JSON: {error}") from error
            entries = cast("list[Section]", answer) if isinstance(answer, list) else []
            found += api.owned(entries, name)
            if len(entries) < api.PER_PAGE:
                return found
            page += 1


def password(binding_key: bytes, place: Place) -> str:
    """What our own admin port asks for; see above."""
    told = f"gateway\0{place.project}/{place.environment}\0{place.host}"
    return hmac.new(binding_key, told.encode(), hashlib.sha256).hexdigest()


def _close(doors: list[_Door]) -> None:
    for door in doors:
        door.close()
