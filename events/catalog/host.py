"""What became of hosts."""

from __future__ import annotations

from pydantic import Field

from events.catalog.base import Event, recorded


@recorded("host")
class HostReached(Event):
    """A host's engine answered for the first time, or again after it was unreachable."""

    host: str = Field(description="The host.")
    machine: str = Field(description="The machine's id; the first one binds the name to this machine.")
    engine: str = Field(description="The engine's id; the first one binds the name to this engine.")
    engine_version: str = Field(description="The engine's version.")
    api_version: str = Field(description="The API version agreed on.")


@recorded("host")
class HostRebound(Event):
    """A person said that the name means another machine or engine from now on."""

    host: str = Field(description="The host.")
    machine: str = Field(description="The id of the machine that the name is bound to now.")
    engine: str = Field(description="The id of the engine that the name is bound to now.")
    former_machine: str = Field(description="The machine it was bound to before.")
    former_engine: str = Field(description="The engine it was bound to before.")
    reason: str = Field(description="Why, in the words of whoever did it.")


@recorded("host")
class ImagesForgotten(Event):
    """Images that nobody needs any more lose our names, and go where nothing uses them; recorded before."""

    host: str = Field(description="The host.")
    count: int = Field(description="How many names.")
    names: tuple[str, ...] = Field(description="The names, sorted; the first 50.")
    in_use: int = Field(description="Names that are not needed and stay while a container uses the image.")
    kept: int = Field(description="Names that are needed.")


@recorded("host")
class HostUnreachable(Event):
    """A host's engine stopped answering; what runs there is unknown, not missing."""

    host: str = Field(description="The host.")
    reason: str = Field(description="The words of the transport or the engine.")
