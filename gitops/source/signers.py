"""Who made a signature, asked of the programs that Git itself asks: `ssh-keygen` and `gpg`.

Keys are the operator's files alone, and each program sees nothing else: no home, no configuration, no agent,
no key server. GPG gets a folder of its own, made for the occasion from the keyring. What counts are exit
codes and GPG's status lines, which no locale changes; sentences are for people.

A key has to be valid when it is asked, not when the commit says it was made: who found a key that has
expired could write any date. So the commit of a signer whose key expires before the look is refused, until
the operator's file says otherwise or somebody signs anew.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from events.kernel.errors import UserError, Where, error_code
from events.kernel.process import Finished, run
from gitops.source.signed import ssh_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gitops.source.signed import Signed, SshKey

COMMIT_UNSIGNED = error_code("commit-unsigned", "A commit that has to be signed is not.")
SIGNER_UNKNOWN = error_code("signer-unknown", "The key that signed is none of the operator's file.")
SIGNATURE_BAD = error_code("signature-bad", "The signature does not belong to what was signed.")
SIGNATURE_EXPIRED = error_code(
    "signature-expired", "The signature, or the key that made it, is not valid at this time."
)
KEY_REVOKED = error_code("key-revoked", "The key that signed was revoked.")
SIGNATURE_UNSUPPORTED = error_code(
    "signature-unsupported", "It is signed in a form that is not verified: neither SSH nor OpenPGP."
)
VERIFICATION_UNUSABLE = error_code(
    "verification-unusable", "What verifies commits is missing or cannot be used: a file of keys, a program."
)

SSH_PROGRAM: Final = "ssh-keygen"
GPG_PROGRAM: Final = "gpg"
_NAMESPACE: Final = "git"  # in which Git signs
_SECONDS: Final = 30.0
_STATUS: Final = "[GNUPG:] "
_GPG_OPTIONS: Final = (
    *("--no-options", "--batch", "--no-tty", "--no-autostart", "--disable-dirmngr"),
    *("--no-auto-key-retrieve", "--trust-model", "always", "--status-fd", "1"),
)
_GPG_RULES: Final = {
    "BADSIG": SIGNATURE_BAD,
    "ERRSIG": SIGNATURE_BAD,
    "EXPSIG": SIGNATURE_EXPIRED,
    "EXPKEYSIG": SIGNATURE_EXPIRED,
    "REVKEYSIG": KEY_REVOKED,
    "GOODSIG": "",
}
_NO_KEY: Final = "9"  # the reason that ERRSIG gives when the key is not there
_KEYBOX: Final = slice(8, 12), b"KBXf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who vouches for something."""

    key: str  # fingerprint
    principal: str = ""  # what the operator's file calls them, often an address; empty for GPG


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why nobody does."""

    rule: str  # the code of the error that it becomes
    key: str = ""  # the key that was used, for people
    why: str = ""


class SshSigners:
    """A file of allowed signers, in the form of `ssh-keygen`."""

    def __init__(self, file: Path, *, folder: Path) -> None:
        """`folder` is private, and takes a signature for as long as it is verified."""
        self._file = file
        self._signature = folder / "signature"

    async def judge(self, signed: Signed, *, now: datetime) -> Signer | Refusal:
        """Whose signature it is at the time `now`. Raises OutsideError when the program does not run."""
        key = ssh_key(signed.signature)
        if key is None:
            return Refusal(rule=SIGNATURE_BAD, why="the signature cannot be read")
        await asyncio.to_thread(self._signature.write_bytes, signed.signature)
        # In the form that Git writes: the times in the file are local ones too, unless they end in Z.
        known = ["-f", str(self._file), f"-Overify-time={now.astimezone():%Y%m%d%H%M%S}"]
        found = await self._ask("find-principals", *known)
        principals = found.stdout.decode(errors="replace").splitlines() if found.code == 0 else []
        for principal in principals:
            verified = await self._ask(
                "verify", *known, "-I", principal, namespace=True, payload=signed.payload
            )
            if verified.code == 0:
                return Signer(key=key.fingerprint, principal=principal)
        return await self._refusal(signed, key, allowed=bool(principals))

    async def _refusal(self, signed: Signed, key: SshKey, *, allowed: bool) -> Refusal:
        """Why nobody signed it; `allowed`: the key is somebody's now."""
        shown = f"{key.kind} {key.fingerprint}"
        sound = await self._ask("check-novalidate", namespace=True, payload=signed.payload)
        if sound.code != 0:
            return Refusal(rule=SIGNATURE_BAD, key=shown, why=sound.error_text)
        if allowed:
            why = f"its line in the file of signers is not for {_NAMESPACE!r}"
            return Refusal(rule=SIGNER_UNKNOWN, key=shown, why=why)
        if key.blob in await asyncio.to_thread(self._file.read_text, errors="replace"):
            why = "its line in the file of signers says when it is valid"
            return Refusal(rule=SIGNATURE_EXPIRED, key=shown, why=why)
        return Refusal(rule=SIGNER_UNKNOWN, key=shown)

    async def _ask(
        self, question: str, *arguments: str, namespace: bool = False, payload: bytes | None = None
    ) -> Finished:
        named = ["-n", _NAMESPACE] if namespace else []
        return await _run(
            [SSH_PROGRAM, "-Y", question, *named, "-s", str(self._signature), *arguments], stdin=payload
        )


class GpgKeyring:
    """A file of public keys, for GPG."""

    def __init__(self, content: bytes, *, shown: str, folder: Path) -> None:
        """`folder` is private and empty; it becomes what GPG takes for its home. `shown` names the file."""
        self._content = content
        self._shown = shown
        self._home = folder
        self._ready = False

    async def judge(self, signed: Signed) -> Signer | Refusal:
        """Whose signature it is; GPG takes the time from the system.

        Raises UserError `verification-unusable` and OutsideError when the program does not run.
        """
        await self.prepare()
        signature = self._home / "signature"
        await asyncio.to_thread(signature.write_bytes, signed.signature)
        answer = await self._gpg("--verify", str(signature), "-", stdin=signed.payload)
        return _by_status(answer)

    async def prepare(self) -> None:
        """Read the keys, once. Raises UserError `verification-unusable` when there is none."""
        if self._ready:
            return
        place, mark = _KEYBOX
        if self._content[place] == mark:
            await asyncio.to_thread((self._home / "pubring.kbx").write_bytes, self._content)
        else:
            await self._gpg("--import", stdin=self._content)
        listed = await self._gpg("--with-colons", "--list-keys")
        if not any(line.startswith(b"pub:") for line in listed.stdout.splitlines()):
            raise unusable(
                f"{self._shown} has no public key that GPG can read",
                file=self._shown,
                next_="gpg --export --armor KEY > FILE",
            )
        self._ready = True

    async def _gpg(self, *arguments: str, stdin: bytes | None = None) -> Finished:
        return await _run([GPG_PROGRAM, "--homedir", str(self._home), *_GPG_OPTIONS, *arguments], stdin=stdin)


def unusable(what: str, *, file: str | None = None, line: int | None = None, next_: str) -> UserError:
    """The error for what cannot verify anything."""
    return UserError(VERIFICATION_UNUSABLE, what, where=Where(file=file, line=line), next=next_)


def _by_status(answer: Finished) -> Signer | Refusal:
    """What GPG's status lines say. Exactly one signature, and nothing but good of it, is good."""
    lines = [
        line.removeprefix(_STATUS).split()
        for line in answer.stdout.decode(errors="replace").split("\n")
        if line.startswith(_STATUS)
    ]
    results = [words for words in lines if words and words[0] in _GPG_RULES]
    keys = [words[-1] for words in lines if words and words[0] == "VALIDSIG"]
    if len(results) != 1 or len(keys) > 1:
        return Refusal(rule=SIGNATURE_BAD, why=f"GPG sees {len(results)} signatures in it")
    (result,) = results
    key = keys[0] if keys else result[1]
    rule = _GPG_RULES[result[0]]
    if result[0] == "ERRSIG" and _NO_KEY in result[6:7]:
        rule = SIGNER_UNKNOWN
    if not rule and (answer.code != 0 or not keys):
        rule = SIGNATURE_BAD
    return Refusal(rule=rule, key=f"OpenPGP {key}", why=result[0]) if rule else Signer(key=key)


async def _run(argv: Sequence[str], *, stdin: bytes | None) -> Finished:
    passed = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return await run(
        argv,
        env={**passed, "LC_ALL": "C"},
        stdin=stdin,
        deadline_seconds=_SECONDS,
        dies_with_parent=False,  # they change nothing
    )
