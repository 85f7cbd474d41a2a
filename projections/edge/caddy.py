"""Caddy as a gateway: told by the same files on its host as Traefik, and given them through its admin API.

Caddy watches no folder. So the files are the record of who serves, and to confirm means to bring Caddy to
what they say: its configuration is read, ours is put in, and it is given back whole, on the condition that
nobody changed it in between; Caddy takes all of it or nothing. One that was started anew knows nothing until
it is confirmed, unless it runs with `--resume`.

Its admin API knows no passwords, so who can reach it is the project's own affair, and it counts nothing by
service.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from events.kernel.errors import OutsideError
from projections.edge.admin_port import NoAnswerError, admin_ports
from projections.edge.caddy_config import known, refuse, told_of, wanted
from projections.edge.folder_edge import FolderEdge
from projections.edge.http import HostHttp
from projections.edge.port import GATEWAY_SILENT, ROUTE_NOT_CONFIRMED, Backends, Counters
from projections.engine.errors import shown

_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.05


class CaddyEdge(FolderEdge):
    """The Caddy of an environment on one host."""

    async def tell(self, backends: Backends) -> None:
        """See the port."""
        refuse(backends, self._gateway)
        await super().tell(backends)

    async def confirm(self, backends: Backends, *, seconds: float) -> float:
        """See the port."""
        return await self._await(backends.name, wanted(backends), seconds=seconds)

    async def confirm_gone(self, name: str, *, seconds: float) -> float:
        """See the port."""
        return await self._await(name, [], seconds=seconds)

    async def counters(self, backends: Backends) -> Counters:
        """It has none by service: an error, as with a gateway that does not answer."""
        del backends
        raise self._error(GATEWAY_SILENT, "Caddy does not count the requests of a service", "")

    async def _await(self, name: str, routes: list[dict[str, Any]], *, seconds: float) -> float:
        clock = self._place.clock
        begun = clock.monotonic()
        while True:
            why, code = "", ROUTE_NOT_CONFIRMED
            try:
                for address, port in await admin_ports(self._place, self._gateway):
                    if known(await self._brought(address, port), name) != routes:
                        why = "it was told something else"
            except (OSError, NoAnswerError) as error:
                why, code = str(error) or type(error).__name__, GATEWAY_SILENT
            except _RefusedError as error:
                why = str(error)
            took = clock.monotonic() - begun
            if not why:
                return took
            if took >= seconds:
                raise self._error(code, f"the gateway does not pass on {name} as it was told", why)
            await clock.sleep(_PAUSE_SECONDS)

    async def _brought(self, address: str, port: int) -> dict[str, Any]:
        """Its configuration after it was brought to what the files say. Raises OSError, _RefusedError."""
        told = (await self._folder.told()).backends
        http = HostHttp(self._place.transport, address, port, login=None)
        try:
            config = _parsed(*await http.get("/config/", seconds=_ANSWER_SECONDS))
            made = told_of(config, [told[service] for service in sorted(told)], self._gateway)
            if made != config:
                content, match = json.dumps(made).encode(), http.etag
                status, body = await http.ask(
                    "POST", "/config/", seconds=_ANSWER_SECONDS, body=content, if_match=match
                )
                if status != HTTPStatus.OK:
                    raise _RefusedError(body.decode(errors="replace"))
        finally:
            http.close()
        return made

    def _error(self, code: str, message: str, why: str) -> OutsideError:
        return OutsideError(
            code,
            message,
            where=self._where,
            why=shown(why),
            next=f"look at what it says: `docker logs` of the container of {self._gateway.service}",
        )


class _RefusedError(Exception):
    """Caddy's own words for why it does not take a configuration."""


def _parsed(status: int, body: bytes) -> dict[str, Any]:
    if status != HTTPStatus.OK:
        raise NoAnswerError(f"it answers {status}")
    try:
        found: dict[str, Any] | None = json.loads(body)
    except ValueError as error:
        raise NoAnswerError(f"its answer is no JSON: {error}") from error
    return found or {}
