"""What became of hosts."""

from __future__ import annotations

from typing import Literal

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


@recorded("host")
class HostDeclared(Event):
    """A repository that may deploy to a host says where it is, or that it is somewhere else from now on."""

    host: str = Field(description="The host.")
    address: str = Field(description="Its name or address, as SSH takes it.")
    port: int = Field(description="The port of its SSH server.")
    origin: Literal["git", "controller"] = Field(
        description="Who says so: a repository, or the operator's own file."
    )
    project: str = Field(default="", description="The project that says so; empty: no project does.")
    environment: str = Field(default="", description="Its environment that named the host then.")
    revision: str = Field(default="", description="The commit that says so.")


@recorded("host")
class HostKeyAccepted(Event):
    """The first SSH key that a host showed is taken as its key, because the operator allows that."""

    host: str = Field(description="The host.")
    key_type: str = Field(description="The kind of key, such as `ssh-ed25519`.")
    fingerprint: str = Field(description="The key's fingerprint, `SHA256:…`.")


@recorded("host")
class HostBootstrapped(Event):
    """A person had a machine made ready to be a host: what was done there, and what came of it."""

    host: str = Field(description="The host.")
    status: Literal["success", "failed"] = Field(description="Whether it is ready.")
    code: str | None = Field(default=None, description="What failed, by its code; null: nothing.")
    done: tuple[str, ...] = Field(description="What was changed on the host, in order, a line each.")
    engine_version: str = Field(default="", description="The version of its engine; empty: none answered.")
    why: str = Field(default="", description="The words of what failed.")
