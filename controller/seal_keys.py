"""The keys that sign seals: the private half in the home, what became of them in the log.

The log says which key signs: the newest `SealKeyMade` or `SealKeyRotated`. Its private half is a file of the
home's folder of keys, readable by nobody but its owner; one that others can read is refused, because then a
signature says nothing. The first key is made when it is first needed. A key that the log names and that is
not there is never replaced silently: whoever took it away could then seal what they like.

A new key is on the disk before the log names it, and the former one goes after that: a process that dies in
between leaves a file too many and never one too few.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.catalog import decode
from events.catalog.log import SealKeyMade, SealKeyRotated
from events.ed25519 import PublicKeys, SigningKey, key_id_of
from events.kernel.errors import OutsideError, UserError, Where, error_code
from events.kernel.files import make_folders, write_atomically
from events.seals import handed_over
from events.streams import LOG_STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from events.log import EventLog
    from events.recorder import Recorder

SEAL_KEY_MISSING = error_code(
    "seal-key-missing", "The log names a key for seals whose private half is not in the home."
)
SEAL_KEY_EXPOSED = error_code(
    "seal-key-exposed", "The private key for seals can be read by others than its owner."
)
SEAL_KEY_UNUSABLE = error_code("seal-key-unusable", "The private key for seals cannot be read or written.")

_PREFIX, _SUFFIX = "seal-", ".pem"
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKeys:
    """The keys of one home and one log; processes may share them."""

    folder: Path
    log: EventLog

    def current(self, recorder: Recorder, say: Callable[[str], None]) -> SigningKey:
        """The key that signs now; the first one is made and recorded, and said.

        Raises UserError `seal-key-exposed`, OutsideError `seal-key-missing` or `seal-key-unusable`, and what
        appending raises.
        """
        with self._locked():
            named = self.named()
            if named:
                return self._load(next(reversed(named)))
            key = self._left_over() or self._made()
            recorder.append(LOG_STREAM, SealKeyMade(key_id=key.id, public_key=key.public.hex()))
        say(f"a key for seals was made: {key.id}, in {self._path(key.id)}")
        return key

    def rotate(self, recorder: Recorder, *, reason: str, lost: bool) -> SigningKey:
        """Another key signs from now on, signed over by the former one; unsigned where that is `lost`.

        Raises as `current` does, and UserError `seal-key-missing` when there is none to rotate.
        """
        with self._locked():
            named = self.named()
            if not named:
                raise no_key()
            former_id = next(reversed(named))
            former = None if lost else self._load(former_id)
            key = self._made()
            signature = "" if former is None else handed_over(former, key.public)
            recorder.append(
                LOG_STREAM,
                SealKeyRotated(
                    key_id=key.id,
                    public_key=key.public.hex(),
                    former=former_id,
                    signature=signature,
                    reason=reason,
                ),
            )
            if former is not None:
                self._path(former_id).unlink(missing_ok=True)
        return key

    def at_hand(self) -> SigningKey | None:
        """The key that signs now, None when the log names none or it is not in this home; makes nothing.

        Raises UserError `seal-key-exposed`, OutsideError `seal-key-unusable`.
        """
        named = self.named()
        newest = next(reversed(named), None)
        return None if newest is None or not self._path(newest).exists() else self._load(newest)

    def named(self) -> PublicKeys:
        """The public keys that the log names, in their order: the last one signs."""
        keys: PublicKeys = {}
        types = (SealKeyMade.__name__, SealKeyRotated.__name__)
        found = [one for name in types for one in self.log.read(stream=LOG_STREAM, type_name=name)]
        for stored in sorted(found, key=lambda one: one.position):
            with suppress(ValueError):  # a log that was changed may say anything here; `verify` names it
                event = decode(stored)
                if isinstance(event, (SealKeyMade, SealKeyRotated)):
                    public_key = bytes.fromhex(event.public_key)
                    keys.pop(event.key_id, None)
                    keys[event.key_id] = public_key
        return keys

    def _made(self) -> SigningKey:
        key = SigningKey.new()
        try:
            write_atomically(self._path(key.id), key.pem(), mode=_FILE_MODE, folder_mode=_FOLDER_MODE)
        except OSError as error:
            raise self._unusable(self._path(key.id), error) from error
        return key

    def _left_over(self) -> SigningKey | None:
        """A key that was made and never recorded, because its maker died in between."""
        found = sorted(self.folder.glob(f"{_PREFIX}*{_SUFFIX}"))
        return self._load(found[0].name.removeprefix(_PREFIX).removesuffix(_SUFFIX)) if found else None

    def _load(self, key_id: str) -> SigningKey:
        path = self._path(key_id)
        try:
            with path.open("rb") as file:
                for one in (path.parent, path):
                    self._refuse_exposed(one)
                key = SigningKey.from_pem(file.read())
        except FileNotFoundError as error:
            raise OutsideError(
                SEAL_KEY_MISSING,
                f"the key {key_id}, which the log names, is not there",
                where=Where(file=str(path)),
                next="put it back from a backup, or: stagecraft audit key rotate --lost --reason TEXT",
            ) from error
        except (OSError, ValueError) as error:
            raise self._unusable(path, error) from error
        if key_id_of(key.public) != key_id:
            raise self._unusable(path, ValueError(f"it holds another key, {key.id}"))
        return key

    def _refuse_exposed(self, path: Path) -> None:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            right = _FOLDER_MODE if stat.S_ISDIR(mode) else _FILE_MODE
            raise UserError(
                SEAL_KEY_EXPOSED,
                f"others may read the key for seals: {path} has mode {stat.S_IMODE(mode):04o}",
                where=Where(file=str(path)),
                why="whoever has the key can sign a log that was changed",
                next=f"chmod {right:o} {path}; if somebody may have read it: stagecraft audit key rotate "
                "--reason TEXT",
            )

    def _unusable(self, path: Path, error: Exception) -> OutsideError:
        return OutsideError(
            SEAL_KEY_UNUSABLE,
            "the key for seals cannot be used",
            where=Where(file=str(path)),
            why=str(error),
            next=f"look at {path}: is it readable and whole, and has its disk room?",
        )

    def _path(self, key_id: str) -> Path:
        return self.folder / f"{_PREFIX}{key_id}{_SUFFIX}"

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One process at a time makes a key, or there would be two first ones."""
        try:
            make_folders(self.folder, mode=_FOLDER_MODE)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)
        except OSError as error:
            raise self._unusable(self.folder, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def no_key() -> UserError:
    """The error for whoever asks for a key before the first one was made."""
    return UserError(
        SEAL_KEY_MISSING, "the log has no key for seals yet", next="stagecraft audit seal makes one"
    )
