"""The port to a host: its files, its programs, connections from it; the same for this machine and for SSH.

Nothing of ours runs on a host: a host has an SSH server, a shell and an engine, and one folder that is ours.
Paths are absolute paths of the host. What a file system says is an OSError, as everywhere in Python, so that
callers say what it means to them; that the host itself did not answer is OutsideError with a code in
`HOST_SILENT`, because then nothing at all is known. Every call has a deadline of its own.

Files are spoken of in whole acts and not in system calls: an act is atomic where its docstring says so, on
every adapter, and each adapter does it in as few round trips as it can. (A port of `open`, `rename` and
`fsync` was dropped: over a network each of them is a wait, and each order of them a new way to fail.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from events.blobs import BlobStore
from events.kernel.errors import error_code
from events.manifest import FileTree, LiveMount

HOST_UNREACHABLE = error_code(
    "host-unreachable", "A host did not answer in time, or a connection to it broke."
)
HOST_KEY_CHANGED = error_code("host-key-changed", "A host shows another SSH key than the one that is known.")
HOST_KEY_UNKNOWN = error_code(
    "host-key-unknown", "A host's SSH key is not known, and keys are not taken on trust."
)
HOST_LOGIN_REFUSED = error_code("host-login-refused", "A host's SSH server does not let us log in.")
STATE_IS_LINK = error_code(
    "state-is-link", "A folder that an app keeps on its host is a link, or lies behind one."
)

HOST_PORT_HELD = error_code(
    "host-port-held", "A port of a host, through which it was to be given a registry, is held by another."
)

HOST_SILENT = frozenset({HOST_UNREACHABLE, HOST_KEY_CHANGED, HOST_KEY_UNKNOWN, HOST_LOGIN_REFUSED})
"""With these nothing is known of what runs on a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program on a host ended."""

    code: int  # 128 + number where a signal ended it
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True, order=True)
class BoundPort:
    """A port of a host that some process listens on, or holds."""

    protocol: str  # tcp, udp
    address: str  # "0.0.0.0", "::" or one address
    port: int


class HostConnection(Protocol):
    """A byte stream that begins at a host, as asyncio's pair of reader and writer."""

    async def read(self, most: int) -> bytes:
        """Up to `most` bytes; empty at the end. Raises OSError."""
        ...

    async def write(self, content: bytes) -> None:
        """Send all of it. Raises OSError."""
        ...

    def close(self) -> None:
        """Cut it; nothing more is sent or taken."""
        ...


class HostFiles(Protocol):
    """The files of one host. Raises OSError and OutsideError with a code in `HOST_SILENT`."""

    async def read(self, path: PurePath, *, most: int) -> bytes | None:
        """A regular file, None when there is none.

        Raises OSError also for what is no regular file (EINVAL) or has more than `most` bytes (EFBIG).
        """
        ...

    async def read_folder(self, path: PurePath, *, most: int) -> dict[str, bytes | None]:
        """The regular files in a folder and in those below it, by their path in it; links are not followed.

        None stands for a file that cannot be read or has more than `most` bytes. A name that begins with a
        dot counts for nothing. Empty when there is no such folder.
        """
        ...

    async def write(self, path: PurePath, content: bytes, *, mode: int) -> None:
        """Write a file in one step, flushed; folders above it are made with mode 0755.

        A reader, and whoever looks after a crash, finds the former content or the new one. What a write that
        was broken off left beside it goes with the next one of the same file.
        """
        ...

    async def put_tree(self, path: PurePath, tree: FileTree, *, blobs: BlobStore) -> None:
        """Put a tree in its place in one step, flushed and read-only; nothing happens when it is there.

        Raises OutsideError `blob-missing` or `blob-damaged` too.
        """
        ...

    async def missing(self, paths: Collection[PurePath]) -> frozenset[PurePath]:
        """Which of these folders are not there: one question for all."""
        ...

    async def make_state_folders(self, root: PurePath, paths: Sequence[str]) -> None:
        """Make folders below `root`, where they are missing, entering none through a link.

        A file in the last place of a path stays. Raises UserError `state-is-link`.
        """
        ...

    async def live_is_as_wanted(self, root: PurePath, mount: LiveMount, tree: FileTree) -> bool:
        """Whether a container that has the place below `root` mounted sees `tree`; unreadable is no."""
        ...

    async def put_live(
        self, root: PurePath, mount: LiveMount, tree: FileTree, *, blobs: BlobStore
    ) -> tuple[str, ...]:
        """Make a place below `root` as wanted; answers the paths that were not, as the container has them."""
        ...

    async def make_live_folder(self, root: PurePath, service: str) -> None:
        """See to it that the folder of a service's places is there, and a folder."""
        ...

    async def remove(self, path: PurePath) -> None:
        """Remove a file, a link, or a folder with all that is in it; what is gone is as good."""
        ...


class Transport(Protocol):
    """One host as it is reached. Made without a connection; safe to use from several event loops."""

    @property
    def host(self) -> str:
        """The host's name in the registry."""
        ...

    @property
    def files(self) -> HostFiles:
        """Its files."""
        ...

    @property
    def here(self) -> bool:
        """Whether it is this machine."""
        ...

    async def open(self) -> None:
        """Make sure that the host answers. Raises OutsideError with a code in `HOST_SILENT`."""
        ...

    async def run(
        self, argv: Sequence[str], *, seconds: float, stdin: bytes = b"", most: int = 1 << 20
    ) -> Ran:
        """Run a program to its end; each argument arrives as it is, whatever is in it.

        `most` bytes of each stream are kept. A program that is not there ends with 127, or raises
        OutsideError `process-not-started` where the system can tell. Raises OutsideError `process-timed-out`
        when it takes longer than `seconds`; then it is ended there as far as the host's SSH server does that.
        """
        ...

    async def dial(self, address: str, port: int, *, seconds: float) -> HostConnection:
        """A TCP connection from the host.

        Raises OSError when nobody takes it, TimeoutError after `seconds`.
        """
        ...

    async def offer_port(self, port: int) -> None:
        """Let the host reach 127.0.0.1:`port` of this machine at its own 127.0.0.1:`port`.

        It lasts as long as the connection; to call it again is cheap. Nothing happens on this machine. Raises
        OutsideError `host-port-held` where somebody listens there, or with a code in `HOST_SILENT`.
        """
        ...

    async def bound_ports(self) -> frozenset[BoundPort]:
        """The ports that processes of the host hold, those of containers too, as far as they can be seen."""
        ...

    async def machine(self) -> str:
        """The id of the machine, `/etc/machine-id`; empty when it has none."""
        ...

    def close(self) -> None:
        """Give back the connection. It may be used again, and connects anew then."""
        ...
