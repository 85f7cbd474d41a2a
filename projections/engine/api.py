"""The calls of the engine's API that are used, with types.

The SDK's client has them all and its stubs leave most answers open; read as this Protocol it is typed in
one place instead of at each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Protocol

Answer = Mapping[str, Any]  # one JSON object of the engine


class EventAnswers(Protocol):
    """The answer of `GET /events`: objects until it is closed, which any thread may do."""

    def __iter__(self) -> Iterator[Answer]: ...

    def close(self) -> None:
        """End it; who iterates comes to the end."""
        ...


class ExecStream(Protocol):
    """What a program in a container writes, in frames: one byte for the stream, three zeros, the length."""

    def read(self, count: int, /) -> bytes | None:
        """At most `count` bytes; nothing at the end. Raises TimeoutError when it keeps silent."""
        ...


class DockerApi(Protocol):
    """`docker.APIClient`, as far as it is called."""

    def version(self) -> Answer:
        """`GET /version`."""
        ...

    def info(self) -> Answer:
        """`GET /info`."""
        ...

    def ping(self) -> bool:
        """`GET /_ping`."""
        ...

    def close(self) -> None:
        """Give back the connections; a later request opens new ones."""
        ...

    def containers(self, *, all: bool, filters: Mapping[str, str]) -> list[Answer]:  # noqa: A002  # the SDK's word
        """`GET /containers/json`."""
        ...

    def inspect_container(self, container: str) -> Answer:
        """`GET /containers/<id>/json`."""
        ...

    def logs(
        self, container: str, *, stdout: bool, stderr: bool, tail: int, since: float | None = None
    ) -> bytes:
        """`GET /containers/<id>/logs`, the frames of both streams put together in their order."""
        ...

    def diff(self, container: str) -> list[Answer] | None:
        """`GET /containers/<id>/changes`; null for none."""
        ...

    def exec_create(self, container: str, cmd: Sequence[str]) -> Answer:
        """`POST /containers/<id>/exec`; both streams are attached."""
        ...

    def exec_start(self, exec_id: str, *, socket: bool) -> ExecStream:
        """`POST /exec/<id>/start`, answered by the connection itself."""
        ...

    def exec_inspect(self, exec_id: str) -> Answer:
        """`GET /exec/<id>/json`."""
        ...

    def start(self, container: str) -> None:
        """`POST /containers/<id>/start`."""
        ...

    def stop(self, container: str) -> None:
        """`POST /containers/<id>/stop`, which answers when the container has stopped."""
        ...

    def kill(self, container: str, signal: str) -> None:
        """`POST /containers/<id>/kill`."""
        ...

    def remove_container(self, container: str, *, v: bool, force: bool) -> None:
        """`DELETE /containers/<id>`; `v` takes anonymous volumes that no other container uses."""
        ...

    def rename(self, container: str, name: str) -> None:
        """`POST /containers/<id>/rename`."""
        ...

    def inspect_image(self, image: str) -> Answer:
        """`GET /images/<name>/json`."""
        ...

    def inspect_distribution(self, image: str) -> Answer:
        """`GET /distribution/<name>/json`: the engine asks the registry."""
        ...

    def pull(self, repository: str, *, tag: str, stream: bool, decode: bool) -> Iterator[Answer]:
        """`POST /images/create`: lines of progress, errors among them."""
        ...

    def build(  # noqa: PLR0913  # the SDK's call has as many
        self,
        *,
        fileobj: BinaryIO,
        custom_context: bool,
        tag: str,
        dockerfile: str,
        buildargs: Mapping[str, str],
        labels: Mapping[str, str],
        target: str | None,
        platform: str | None,
        rm: bool,
        forcerm: bool,
        decode: bool,
    ) -> Iterator[Answer]:
        """`POST /build`: lines of what the builder says, errors among them."""
        ...

    def push(self, repository: str, *, tag: str, stream: bool, decode: bool) -> Iterator[Answer]:
        """`POST /images/<name>/push`: lines of progress, errors among them."""
        ...

    def tag(self, image: str, repository: str, tag: str) -> bool:
        """`POST /images/<name>/tag`."""
        ...

    def get_image(self, image: str, chunk_size: int) -> Iterator[bytes]:
        """`GET /images/<name>/get`: an archive."""
        ...

    def load_image(self, data: Iterator[bytes]) -> Iterator[Answer]:
        """`POST /images/load`: lines of progress, errors among them."""
        ...

    def images(self, *, all: bool, filters: Mapping[str, str]) -> list[Answer]:  # noqa: A002  # the SDK's word
        """`GET /images/json`."""
        ...

    def remove_image(self, image: str, *, force: bool) -> object:
        """`DELETE /images/<name>`."""
        ...

    def networks(self, *, filters: Mapping[str, str]) -> list[Answer]:
        """`GET /networks`."""
        ...

    def remove_network(self, net_id: str) -> None:
        """`DELETE /networks/<id>`."""
        ...

    def volumes(self, *, filters: Mapping[str, str]) -> Answer:
        """`GET /volumes`."""
        ...

    def remove_volume(self, name: str) -> None:
        """`DELETE /volumes/<name>`."""
        ...

    def events(self, *, since: str, filters: Mapping[str, Sequence[str]], decode: bool) -> EventAnswers:
        """`GET /events`: what happened since then, then what happens."""
        ...
