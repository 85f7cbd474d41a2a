"""The operator's files of keys: read anew for each question, checked once at the start.

Whoever changes them need not start anything again. What a question is answered with is a copy in a private
folder that is gone afterwards, so no answer mixes two states of a file.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gitops.source.signers import (
    COMMIT_UNSIGNED,
    GPG_PROGRAM,
    SIGNATURE_UNSUPPORTED,
    SIGNER_UNKNOWN,
    SSH_PROGRAM,
    GpgKeyring,
    Refusal,
    Signer,
    SshSigners,
    unusable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from gitops.source.signed import Signed

_MOST_FILE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Whose signatures count; None where no file was given."""

    ssh: SshSigners | None
    gpg: GpgKeyring | None

    async def judge(self, signed: Signed, *, now: datetime) -> Signer | Refusal:
        """Who signed it, at the time `now`.

        Raises UserError `verification-unusable` and OutsideError when a program does not run.
        """
        match signed.form:
            case "none":
                return Refusal(rule=COMMIT_UNSIGNED)
            case "ssh" if self.ssh is not None:
                return await self.ssh.judge(signed, now=now)
            case "openpgp" if self.gpg is not None:
                return await self.gpg.judge(signed)
            case "ssh" | "openpgp":
                kind, key = ("an SSH", "signers") if signed.form == "ssh" else ("an OpenPGP", "keyring")
                why = f"it is signed with {kind} key, and verify.{key} is not given"
                return Refusal(rule=SIGNER_UNKNOWN, why=why)
            case "other":
                return Refusal(rule=SIGNATURE_UNSUPPORTED)


@asynccontextmanager
async def open_keys(*, signers: Path | None, keyring: Path | None) -> AsyncGenerator[Keys]:
    """The keys of both files as they are now. Raises UserError `verification-unusable`."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-trust-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ssh = gpg = None
        if signers is not None:
            copy = folder / "signers"
            copy.write_bytes(await asyncio.to_thread(_content, signers))
            ssh = SshSigners(copy, folder=folder)
        if keyring is not None:
            home = folder / "gpg"
            home.mkdir(mode=0o700)
            content = await asyncio.to_thread(_content, keyring)
            gpg = GpgKeyring(content, shown=str(keyring), folder=home)
        yield Keys(ssh=ssh, gpg=gpg)


async def check_keys(*, signers: Path | None, keyring: Path | None) -> None:
    """Raise UserError `verification-unusable` for a file without keys and for a program that is missing."""
    for file, program in ((signers, SSH_PROGRAM), (keyring, GPG_PROGRAM)):
        if file is not None and shutil.which(program) is None:
            raise unusable(
                f"{program} is not installed or not on PATH, and it verifies signatures",
                next_=f"install {program}",
            )
    if signers is not None:
        _check_signers(signers, await asyncio.to_thread(_content, signers))
    async with open_keys(signers=signers, keyring=keyring) as keys:
        if keys.gpg is not None:
            await keys.gpg.prepare()


def _content(file: Path) -> bytes:
    """The bytes of one of the operator's files. Raises UserError `verification-unusable`."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise unusable(
            f"cannot read {file}: {error.strerror}",
            file=str(file),
            next_="name a file of keys that the controller may read",
        ) from error
    if len(content) > _MOST_FILE_BYTES:
        raise unusable(
            f"{file} is larger than {_MOST_FILE_BYTES} bytes", file=str(file), next_="name a file of keys"
        )
    return content


def _check_signers(file: Path, content: bytes) -> None:
    """Raise UserError `verification-unusable` for a file in which nobody stands, or a line without a name.

    A line is `PRINCIPALS [OPTIONS] KEYTYPE KEY`; who copies a `.pub` file forgets the first.
    """
    lines = [line.split() for line in content.decode(errors="replace").splitlines()]
    signers = [(number, line) for number, line in enumerate(lines, 1) if line and not line[0].startswith("#")]
    example = "a line is: alice@example.org ssh-ed25519 AAAA…"
    if not signers:
        raise unusable(f"nobody stands in {file}", file=str(file), next_=example)
    for number, line in signers:
        if not _has_name_and_key(line):
            what = f"line {number} of {file} names no signer and key"
            raise unusable(what, file=str(file), line=number, next_=example)


def _has_name_and_key(words: Sequence[str]) -> bool:
    return any(place > 1 and word.startswith("AAAA") for place, word in enumerate(words))
