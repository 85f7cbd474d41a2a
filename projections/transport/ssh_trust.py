"""Whether the key that a host shows is the one that is known: a file of known hosts, as OpenSSH keeps it.

A key that is not known is refused, or taken and written down where keys are trusted at first use. A key that
differs from a known one is refused always, and nothing is written: whoever reinstalled the host says so, by
taking the old key out of the file.

A host behind the same address and another port is another host. As OpenSSH does, a key that is known under
the bare address counts for it too; it does not make another key there a changed one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import asyncssh

from events.kernel.errors import OutsideError, Where
from events.kernel.files import flush_folder, make_folders
from projections.transport.port import HOST_KEY_CHANGED, HOST_KEY_UNKNOWN
from projections.transport.ssh_settings import SSH_PORT, HostKeys, SshLogin

OnFirstKey = Callable[[str, str], None]
"""Is told of the host's name and the fingerprint of a key that was taken at first use; must not block."""

_ALGORITHMS = {  # of keys, in the order that they are asked for
    b"ssh-ed25519": ("ssh-ed25519",),
    b"ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    b"ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    b"ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    b"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


class HostTrust:
    """What is known of one host's keys, and whether a key that it shows is taken."""

    def __init__(
        self, host: str, login: SshLogin, *, file: Path, keys: HostKeys, on_first_key: OnFirstKey | None
    ) -> None:
        """Reads the file. Raises OutsideError `host-key-unknown` when it cannot be read as what it is."""
        self._host = host
        self._login = login
        self._file = file
        self._keys = keys
        self._on_first_key = on_first_key
        self.known = _read(file, host)
        self.refusal: OutsideError | None = None  # why a key was not taken

    def algorithms(self) -> tuple[str, ...]:
        """Which kinds of keys the host is asked for, those that are known of it first.

        All others follow, so that a host whose key became one of another kind is told apart from one that
        has nothing in common with us. Empty where an authority vouches for it: then certificates count.
        """
        keys, authorities = self._entries()
        if authorities:
            return ()
        known = [key.algorithm for key in keys]
        order = [*dict.fromkeys(known), *(name for name in _ALGORITHMS if name not in known)]
        return tuple(name for kind in order for name in _ALGORITHMS.get(kind, ()))

    def takes(self, key: asyncssh.SSHKey) -> bool:
        """Whether a key that is not in the file is taken; `refusal` says why not."""
        shown = key.get_fingerprint()
        keys, _ = self._entries(this_port_alone=True)
        if keys:
            self.refusal = self._changed(shown, [known.get_fingerprint() for known in keys])
            return False
        if self._keys == "strict":
            self.refusal = self._unknown(shown)
            return False
        try:
            self._write(key)
        except OSError as error:
            self.refusal = self._unknown(shown, why=f"it could not be written down: {error}")
            return False
        if self._on_first_key is not None:
            self._on_first_key(self._host, shown)
        return True

    def not_vouched(self, why: str) -> OutsideError:
        """The error for a key that is revoked, or a certificate that nobody known gave."""
        return OutsideError(
            HOST_KEY_CHANGED if "revoked" in why else HOST_KEY_UNKNOWN,
            f"the key that {self._login.known_as} shows is not one to be trusted",
            where=Where(host=self._host, file=str(self._file)),
            why=why,
            next=f"see what is known of it: `{self._keygen('-F')}`",
        )

    def _entries(self, *, this_port_alone: bool = False) -> tuple[list[asyncssh.SSHKey], bool]:
        """The known keys of the host, and whether an authority may vouch for it."""
        address, port = self._login.address, self._login.port
        found = self.known.match(address, "", None if port == SSH_PORT else port)
        if this_port_alone and port != SSH_PORT and found == self.known.match(address, "", None):
            return [], bool(found[1])
        return list(found[0]), bool(found[1])

    def _write(self, key: asyncssh.SSHKey) -> None:
        """Add a line at the end, durably. Raises OSError."""
        make_folders(self._file.parent, mode=0o700)
        public = key.export_public_key("openssh").decode().split()
        line = f"{self._login.known_as} {public[0]} {public[1]}\n".encode()
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # somebody's editor left no line end
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        flush_folder(self._file.parent)

    def _changed(self, shown: str, known: list[str]) -> OutsideError:
        return OutsideError(
            HOST_KEY_CHANGED,
            f"{self._login.known_as} shows another SSH key than the one that is known",
            where=Where(host=self._host, file=str(self._file)),
            why=f"it shows {shown}, known is {' or '.join(known)}",
            next="somebody may stand between; if the host was set up anew, forget its former key: "
            f"`{self._keygen('-R')}`",
        )

    def _unknown(self, shown: str, *, why: str = "keys are not taken on trust") -> OutsideError:
        port = f"-p {self._login.port} " if self._login.port != SSH_PORT else ""
        return OutsideError(
            HOST_KEY_UNKNOWN,
            f"the SSH key of {self._login.known_as} is not known",
            where=Where(host=self._host, file=str(self._file)),
            why=f"it shows {shown}; {why}",
            next="compare that with `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` there, then make it "
            f"known: `ssh-keyscan {port}{self._login.address} >> {shlex.quote(str(self._file))}`",
        )

    def _keygen(self, option: str) -> str:
        return shlex.join(["ssh-keygen", "-f", str(self._file), option, self._login.known_as])


def _read(file: Path, host: str) -> asyncssh.SSHKnownHosts:
    """What the file says; nothing when there is none."""
    try:
        return asyncssh.import_known_hosts(file.read_text(errors="replace") if file.exists() else "")
    except (OSError, ValueError) as error:
        raise OutsideError(
            HOST_KEY_UNKNOWN,
            "the file of known hosts cannot be read",
            where=Where(host=host, file=str(file)),
            why=str(error),
            next="mend it or name another one at `ssh.known_hosts` in controller.yml",
        ) from error
