"""What Git says to the server of a repository: with whose keys, for how long, and what a failure means.

A server is known to the operator and may still be slow, broken or somebody else's. So each question has a
deadline, over HTTP a silence has one of its own, and what is kept of an answer is bounded. Redirects are
followed for the first question alone, which some Git hosts send to the same repository's full name;
credentials go nowhere but to the server of the address (`address.py`).

Git tells its failures in words. Three are told apart, because each has another remedy: a host key that is not
the known one, a login that is refused, and a server that asks for fewer questions. All else is a repository
that does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from events.kernel.errors import OutsideError, UserError, error_code
from events.kernel.process import PROCESS_TIMED_OUT, Finished, run
from gitops.source.absent import repository_missing
from gitops.source.gitcommand import network_environment
from gitops.source.helpers import Settings, credential_settings
from gitops.source.paths import shown
from gitops.source.ssh import AS_THE_USER, SshAccess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops.source.address import Address

GIT_UNREACHABLE = error_code("git-unreachable", "A repository did not answer or refused.")
GIT_HOST_KEY_REFUSED = error_code(
    "git-host-key-refused", "The SSH server of a repository shows a key that is not known to be its own."
)
GIT_LOGIN_REFUSED = error_code(
    "git-login-refused", "The server of a repository does not let Stagecraft read it."
)
GIT_ASKED_TOO_OFTEN = error_code(
    "git-asked-too-often", "The server of a repository wants to be asked less often (HTTP status 429)."
)

_MOST_BYTES: Final = 32 * 1024 * 1024  # of an answer: some 400,000 refs
_MOST_READ: Final = 16 * 1024  # bytes of what Git says that are looked at
_MOST_WORDS: Final = 4000  # characters of what Git says, which a server may write too
_NO_REPOSITORY = (  # how Git says that a path of this machine leads to no repository
    "does not appear to be a git repository",
    "invalid gitfile format",
    "File name too long",
)
_CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"
_LOGIN = (
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "Permission denied (",
    "returned error: 403",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server may take."""

    look_seconds: float = 45.0
    fetch_seconds: float = 600.0
    silent_seconds: int = 60  # without a byte over HTTP; a server at work says something every 5 s


PATIENCE: Final = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Runs Git towards one address."""

    address: Address
    ssh: SshAccess = AS_THE_USER
    patience: Patience = PATIENCE
    _helpers: list[Settings] = field(default_factory=list[Settings])  # one at most: what was read

    async def ask(self, arguments: Sequence[str]) -> Finished:
        """Ask what the server has. Raises OutsideError `git-unreachable` at the deadline."""
        answer = await self._git(arguments, deadline_seconds=self.patience.look_seconds)
        if len(answer.stdout) >= _MOST_BYTES:
            raise self.unanswered(f"{self.shown} answers with more than {_MOST_BYTES} bytes of refs")
        return answer

    async def fetch(
        self, arguments: Sequence[str], *, settings: Settings = (), stdin: bytes | None = None
    ) -> Finished:
        """Have something brought. Raises OutsideError `git-unreachable` at the deadline."""
        return await self._git(
            arguments, deadline_seconds=self.patience.fetch_seconds, settings=settings, stdin=stdin
        )

    def failed(self, answer: Finished) -> UserError | OutsideError:
        """What a failed exchange means: a path where nothing is, or a source that does not answer."""
        words = replace(answer, stderr=answer.stderr[:_MOST_READ]).error_text[:_MOST_WORDS]
        if self.address.local and any(said in words for said in _NO_REPOSITORY):
            return repository_missing(self.address.url)
        if "Host key verification failed" in words:
            whose = "another host key than the known one" if _CHANGED in words else "an unknown host key"
            return OutsideError(
                GIT_HOST_KEY_REFUSED,
                f"the server of {self.shown} shows {whose}, so nothing was asked of it",
                why=words,
                next=f"enter it in {self.ssh.known_hosts_shown} when you know that it is the server's own",
            )
        if any(said in words for said in _LOGIN):
            self._helpers.clear()
            what = f"the server of {self.shown} refuses the login"
            return OutsideError(GIT_LOGIN_REFUSED, what, why=words, next=self._try)
        if "returned error: 429" in words:
            return OutsideError(
                GIT_ASKED_TOO_OFTEN,
                f"the server of {self.shown} wants to be asked less often",
                why=words,
                next="raise interval_seconds of its entry, or let a webhook say when to look",
            )
        return OutsideError(GIT_UNREACHABLE, f"{self.shown} cannot be read", why=words, next=self._try)

    @property
    def shown(self) -> str:
        """The address as people may see it."""
        return shown(self.address.url)

    async def _git(
        self,
        arguments: Sequence[str],
        *,
        deadline_seconds: float,
        settings: Settings = (),
        stdin: bytes | None = None,
    ) -> Finished:
        try:
            return await run(
                ["git", *arguments],
                env=await self._environment(settings),
                stdin=stdin,
                deadline_seconds=deadline_seconds,
                kept_bytes=_MOST_BYTES,
            )
        except OutsideError as error:
            if error.code != PROCESS_TIMED_OUT:
                raise
            raise self.unanswered(f"{self.shown} did not answer in {deadline_seconds:g} s") from error

    def unanswered(self, what: str) -> OutsideError:
        """The error for a server that says nothing one can use."""
        return OutsideError(GIT_UNREACHABLE, what, next=self._try)

    async def _environment(self, more: Settings) -> dict[str, str]:
        settings = [
            *more,
            *await self._logins(),
            ("http.followRedirects", "initial"),
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", str(self.patience.silent_seconds)),
        ]
        return {**network_environment(settings), **self.address.variables(), **self.ssh.variables()}

    async def _logins(self) -> Settings:
        """How Git finds a name and a word: those of the address alone, else as the user's helpers know."""
        own = tuple(self.address.settings().items())
        if own or not self.address.origin:
            return own
        if not self._helpers:
            self._helpers.append(await credential_settings())
        return self._helpers[0]

    @property
    def _try(self) -> str:
        return f"git ls-remote {self.shown}"
