"""Where the story is played: the controller as a process, commands as a user types them, proof by waiting.

Everything runs through the installed command and git, as it would by hand; only the proof looks deeper. An
act is proved twice: the URL answers through Traefik, and the log holds the event. Both are waited for with a
deadline, and while they are waited for, what the controller says goes to the screen. What does not come true
in time, or a controller that ends, is `demo-expectation-failed`: the demo never tells what did not happen.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from controller.bootstrap import open_log
from controller.demo.hands import git as run_git
from controller.demo.hands import running, typed
from controller.demo.telling import told
from controller.holders import identify, lives
from events.kernel.errors import InternalError, error_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from controller.demo.interrupts import Interrupts
    from controller.demo.place import Place
    from events.envelope import StoredEvent
    from events.log import EventLog

DEMO_EXPECTATION_FAILED = error_code(
    "demo-expectation-failed", "Something that the demo tells about did not happen."
)

PROOF_SECONDS = 120.0  # an act takes 3 s; a machine under load may take ten times as long
_ANSWER_SECONDS = 5.0
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows no loopback of ours
_POLL_SECONDS = 0.05
_LAST_LINES = 5


class Screen(Protocol):
    """Where the demo is shown."""

    def act(self, text: str) -> None:
        """An act begins."""
        ...

    def note(self, text: str) -> None:
        """What is done and why, in whole sentences."""
        ...

    def command(self, text: str) -> None:
        """A command as a user types it."""
        ...

    def said(self, text: str) -> None:
        """A line of what a command or the controller said."""
        ...

    def proved(self, text: str) -> None:
        """Something that was checked and is true."""
        ...


@dataclass(slots=True, kw_only=True)
class Stage:
    """One demo while it is played."""

    place: Place
    screen: Screen
    command: Path  # the installed `stagecraft`
    environ: Mapping[str, str]  # of the caller
    stays: bool  # the controller outlives this process
    verbose: bool  # every line of the controller is shown
    interrupts: Interrupts
    opened: ExitStack  # closes the log at the end
    proof_seconds: float = PROOF_SECONDS
    _log: EventLog | None = field(default=None, init=False)  # from the controller's start on
    _read: int = field(default=0, init=False)  # bytes of the controller's output that were shown

    def start_controller(self) -> None:
        """Start the daemon, whose output goes to a file; unless it `stays` it ends with this process."""
        arguments = ["controller", "run", "--repo", str(self.place.origin), "--branch", "main"]
        self.screen.command(f"stagecraft {' '.join(arguments)} &")
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv and not self.stays else []
        with self.interrupts.later(), self.place.controller_log.open("wb") as sink:
            process = subprocess.Popen(
                [*guard, str(self.command), *arguments],
                cwd=self.place.folder,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # a Ctrl-C is for the demo, which ends it
            )
            identity = identify(process.pid)
            if identity is None:
                raise self.failed("the controller starts", "it ended at once")
            self.place = self.place.with_controller(identity)
        self.wait("the controller watches the repository", lambda: "watching " in self._said())
        self._log = self.opened.enter_context(open_log(self.place.home))

    def stagecraft(self, *arguments: str, from_line: str = "", only: str = "") -> None:
        """Type a command of `stagecraft`, which must succeed, and show what it says.

        With `from_line` only from the line on that begins so, as a user would have `sed` show it; with `only`
        those lines that begin so, as with `grep`.
        """
        filtered = f" | sed -n '/^{from_line}/,$p'" if from_line else f" | grep '^{only}'" if only else ""
        self.screen.command(typed("stagecraft", *arguments) + filtered)
        showing = False
        with running([str(self.command), *arguments], cwd=self.place.work, env=self._variables()) as process:
            for line in process.stdout or ():
                showing = showing or line.startswith(from_line)
                if showing and line.startswith(only):
                    self.screen.said(line.rstrip("\n"))
        code = process.returncode
        self.expect(f"`{typed('stagecraft', *arguments)}` succeeds", code == 0, f"exit code {code}")

    def git(self, *arguments: str, shown: bool = True) -> None:
        """Type a command of git in the team's clone; what it says is shown when it fails."""
        if shown:
            self.screen.command(typed("git", *arguments))
        run_git(*arguments, cwd=self.place.work)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files into the team's clone."""
        for path, text in files.items():
            (self.place.work / path).write_text(text, encoding="utf-8")

    def answers(self, text: str) -> None:
        """Prove that the URL says `text`, and show it as a user asks for it."""
        url, answer = self.place.shop.url, ""

        def right() -> bool:
            nonlocal answer
            answer = _answer(url)
            return answer == text

        self.wait(f"{url} says {text!r}", right, seen=lambda: answer)
        self.screen.command(f"curl {url}")
        self.screen.said(answer)

    def recorded(self, what: str, type_name: str, *, after: int, **fields: object) -> dict[str, Any]:
        """Prove that the log has an event of this type with these fields behind `after`; answers its data."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            events = self.events(after=after, type_name=type_name)
            found[:] = [one for one in events if fields.items() <= one.items()]
            return bool(found)

        self.wait(f"the log has {type_name}: {what}", there)
        return found[0]

    def stored(self, *, after: int = 0, type_name: str | None = None) -> list[StoredEvent]:
        """The log behind a position, oldest first."""
        return [] if self._log is None else self._log.read(after=after, type_name=type_name)

    def events(self, *, after: int, type_name: str) -> list[dict[str, Any]]:
        """The data of events of one type behind a position."""
        return [json.loads(event.data) for event in self.stored(after=after, type_name=type_name)]

    def head(self) -> int:
        """The log's newest position."""
        return 0 if self._log is None else self._log.head()

    def wait(self, what: str, holds: Callable[[], bool], *, seen: Callable[[], str] = str) -> None:
        """Return when it holds, showing the controller meanwhile. Raises `demo-expectation-failed`."""
        deadline = time.monotonic() + self.proof_seconds
        while not holds():
            self.show_controller()
            if self.place.controller is not None and not lives(self.place.controller):
                raise self.failed(what, "the controller has ended")
            if time.monotonic() > deadline:
                raise self.failed(what, f"{self.proof_seconds:g} s went by; last seen: {seen() or 'nothing'}")
            time.sleep(_POLL_SECONDS)
        self.show_controller()

    def expect(self, what: str, holds: bool, seen: object = "") -> None:  # noqa: FBT001  # reads as a sentence
        """Prove something that is true now or not at all."""
        if not holds:
            raise self.failed(what, f"seen: {seen}")

    def show_controller(self) -> None:
        """Show the lines that the controller has completed since the last time."""
        with self.place.controller_log.open("rb") as output:
            output.seek(self._read)
            new, newline, _ = output.read().rpartition(b"\n")
        self._read += len(new) + len(newline)
        for line in new.decode(errors="replace").splitlines():
            shown = line if self.verbose else told(line, environment=self.place.shop.environment)
            if shown is not None:
                self.screen.said(shown)

    def failed(self, what: str, why: str) -> InternalError:
        """The error for something that did not happen."""
        last = self._said().splitlines()[-_LAST_LINES:]
        said = "".join(f"\n{line}" for line in last)
        return InternalError(
            DEMO_EXPECTATION_FAILED,
            f"the demo expected that {what}",
            why=f"{why}\nthe controller said last:{said or ' nothing'}",
            next="look at it with `stagecraft demo --keep --home DIR` and `stagecraft doctor`",
        )

    def _said(self) -> str:
        log = self.place.controller_log
        return log.read_text(errors="replace") if log.exists() else ""

    def _variables(self) -> dict[str, str]:
        """What a user's shell would hand on, with the demo's home."""
        kept = {name: value for name, value in self.environ.items() if not name.startswith("STAGECRAFT_")}
        return {**kept, "STAGECRAFT_HOME": str(self.place.home.root), "NO_COLOR": "1"}


def _answer(url: str) -> str:
    """What the URL says, or why it says nothing."""
    try:
        with _DIRECTLY.open(url, timeout=_ANSWER_SECONDS) as response:
            body: bytes = response.read()
            return body.decode(errors="replace").strip()
    except (urllib.error.URLError, OSError) as error:
        return f"no answer: {error}"
