"""Keys of people who sign, made on the spot, and Git that signs with them.

SSH keys and GPG keys are Ed25519, so one is made in some milliseconds. Each GPG key has a home of its own,
whose agent a test has to end: `gpg_person` is a context manager for that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.repos import git

_SECONDS = 60


def _run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=_SECONDS, input=stdin, env=os.environ
    )
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class SshPerson:
    """Somebody with an SSH key."""

    principal: str
    key: Path  # the private one

    @classmethod
    def create(cls, folder: Path, name: str, *, kind: str = "ed25519") -> SshPerson:
        """A person with a new key."""
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / name
        _run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(key))
        return cls(principal=f"{name}@example.org", key=key)

    @property
    def public(self) -> str:
        """The public key in one line, without a comment."""
        return " ".join(self.key.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen` shows it."""
        return _run("ssh-keygen", "-l", "-f", str(self.key)).split()[1]

    def line(self, options: str = "") -> str:
        """Their line in a file of allowed signers."""
        return " ".join(part for part in (self.principal, options, self.public) if part) + "\n"

    def sign(self, payload: bytes) -> str:
        """The armoured signature of what Git gives to be signed."""
        return _run(
            "ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(self.key), stdin=payload.decode()
        )

    def certify(self, *, by: SshPerson) -> None:
        """Somebody says by a certificate who this is."""
        public = self.key.with_suffix(".pub")
        _run(
            "ssh-keygen",
            "-q",
            "-s",
            str(by.key),
            "-I",
            "x",
            "-n",
            self.principal,
            "-V",
            "-1d:+1d",
            str(public),
        )

    @property
    def certified(self) -> SshPerson:
        """The same person, who signs with the certificate."""
        return SshPerson(principal=self.principal, key=self.key.with_name(f"{self.key.name}-cert.pub"))

    def configure(self, work: Path) -> None:
        """Let Git sign with this key in a work tree whenever it is told to."""
        git("config", "gpg.format", "ssh", cwd=work)
        git("config", "user.signingKey", str(self.key), cwd=work)


@dataclass(frozen=True, slots=True)
class GpgPerson:
    """Somebody with a GPG key."""

    fingerprint: str
    home: Path

    @property
    def public(self) -> str:
        """The public key, armoured."""
        return self.gpg("--armor", "--export", self.fingerprint)

    def gpg(self, *arguments: str, stdin: str = "") -> str:
        """Run GPG in this home."""
        return _run("gpg", "--homedir", str(self.home), *_QUIET, *arguments, stdin=stdin)

    def revoke(self) -> None:
        """Revoke the key."""
        certificate = (self.home / "openpgp-revocs.d" / f"{self.fingerprint}.rev").read_text()
        self.gpg("--import", stdin=certificate.replace(":-----BEGIN", "-----BEGIN"))

    def configure(self, work: Path, *, time: str = "") -> None:
        """Let Git sign with this key in a work tree whenever it is told to, at another time if given."""
        program = self.home / "sign"
        faked = f"--faked-system-time {time}" if time else ""
        program.write_text(f'#!/bin/sh\nexec gpg --homedir "{self.home}" --batch --no-tty {faked} "$@"\n')
        program.chmod(0o700)
        git("config", "gpg.format", "openpgp", cwd=work)
        git("config", "gpg.program", str(program), cwd=work)
        git("config", "user.signingKey", self.fingerprint, cwd=work)


_QUIET = ("--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")


@contextmanager
def gpg_person(name: str, *, made: str = "", lives: str = "never") -> Generator[GpgPerson]:
    """A person with a new key that was `made` at a time, as in `20200101T000000`; the agent ends with it.

    The home is a short path of its own: the agent's socket is in it, and a long path has no room for that.
    """
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    faked = ["--faked-system-time", made] if made else []
    try:
        argv = ["gpg", "--homedir", str(home), *_QUIET, *faked]
        _run(*argv, "--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", lives)
        listed = _run(*argv, "--with-colons", "--list-keys").splitlines()
        fingerprint = next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
        yield GpgPerson(fingerprint=fingerprint, home=home)
    finally:
        _run("gpgconf", "--homedir", str(home), "--kill", "all")
        shutil.rmtree(home, ignore_errors=True)
