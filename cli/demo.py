"""`stagecraft demo`: a team's day on this machine, shown as it happens."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import ReaderGoneError
from cli.settings import Settings, group, with_settings

if TYPE_CHECKING:
    from cli.console import Console
    from controller.demo.place import Place
    from controller.home import Home


def _demo(
    settings: Settings,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running, in the home; `demo down` removes it.")
    ] = False,
) -> int:
    """What `stagecraft demo` does without a command."""
    import secrets

    from controller.demo.run import Demo

    token = secrets.token_hex(2)
    home = _home(settings, keep=keep, token=token)
    if settings.dry_run:
        return _show_only(settings, home)
    shown = _Shown(settings.console, quiet=settings.quiet, columns=_columns())
    if not settings.quiet:
        settings.console.line(_WELCOME.format(end=_STAYS if keep else _GOES))
    demo = Demo(
        home=home,
        token=token,
        keep=keep,
        verbose=settings.verbose,
        command=Path(sys.executable).parent / "stagecraft",
        environ=settings.environ,
        screen=shown,
        removed=shown.removed,
        ending=shown.ending,
    )
    place = demo.run()
    if keep:
        settings.console.line(_kept(place))
    settings.console.line(f"\nThe demo took {shown.seconds:.0f} s. All of it went as told.")
    return 0


app = group(
    "Show a team's day with Stagecraft: deploy, merge, broken merge, revert, rollback.\n\n"
    "It makes its images, a repository, a sample app behind Traefik and a controller, on this machine's\n"
    "engine and without a network, checks every step, and takes all of it away at the end.\n\n"
    "Exit codes: 0 all went as told; 1 the home is in use or a program is missing; 2 the engine does not\n"
    "answer or cannot be emptied; 3 something did not go as told; 130 Ctrl-C.",
    alone=_demo,
)


@app.command("down")
@with_settings()
def down(settings: Settings) -> None:
    """Remove a demo that was kept: its controller, containers, networks, volumes, images and home.

    Exit codes: 0 all of it is gone; 1 no demo lives in this home; 2 something could not be removed, and
    the rest is still on record for another try.
    """
    from controller.demo.place import find_place
    from controller.demo.teardown import tear_down

    place = find_place(settings.home)
    if settings.dry_run:
        settings.console.line(f"would remove the demo {place.shop.project} in {place.home.root}")
        return
    tear_down(place, say=lambda text: settings.console.line(f"removed: {text}"))


_NARROWEST = 40  # columns for a text, also on a terminal that has fewer
_WELCOME = """Stagecraft demo: a shop, its team, and a controller that watches their repository.
All of it happens on this machine as you read it, and is checked.
{end} Ctrl-C ends it."""
_GOES = "At the end all of it is removed."
_STAYS = "At the end it goes on running."


def _home(settings: Settings, *, keep: bool, token: str) -> Home:
    """Where the demo lives: the home that is named, else a temporary folder unless it is kept."""
    import tempfile

    from controller.home import Home, locate_home

    if keep or settings.home != locate_home(None, environ={}, cwd=settings.cwd):
        return settings.home
    return Home(Path(tempfile.gettempdir()).resolve() / f"stagecraft-demo-{token}")


def _show_only(settings: Settings, home: Home) -> int:
    from controller.demo.story import ACTS

    lines = [f"would make a demo in {home.root} and show:", *(f"  {title}" for title in ACTS)]
    settings.console.line("\n".join(lines))
    return 0


def _kept(place: Place) -> str:
    home = place.home.root
    return f"""
It goes on running. Try, in another terminal:

   curl {place.shop.url}
   stagecraft status --env prod --home {home}
   stagecraft events follow --home {home}

Merge something yourself:

   cd {place.work}
   sed -i 's|web:v1|web:v3|; s|version: v1|version: v3|' compose.yaml stagecraft.yml
   git commit -am "Shop v3" && git push

Take it all away:

   stagecraft demo down --home {home}"""


@dataclass(slots=True)
class _Shown:
    """The demo's screen: plain lines, each with its place in the story; nothing when quiet."""

    console: Console
    quiet: bool
    columns: int | None  # of the terminal; None without one: lines stay as long as they are
    _unread: bool = field(default=False, init=False)
    _began: float = field(default_factory=time.monotonic)
    _act_began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def act(self, text: str) -> None:
        """An act begins."""
        self._act_began = time.monotonic()
        self._line(f"\n{text}")

    def note(self, text: str) -> None:
        """What is done and why."""
        self._folded("   ", text)

    def command(self, text: str) -> None:
        """A command as a user types it."""
        self._line(f"   $ {text}")

    def said(self, text: str) -> None:
        """A line of what was said."""
        self._folded("   | ", text)

    def proved(self, text: str) -> None:
        """Something that is true, and how long its act took."""
        self._folded(f"   ok ({time.monotonic() - self._act_began:.1f} s): ", text, below=" " * 7)

    def ending(self) -> None:
        """Everything is taken away from now on, also when nobody reads any more."""
        self._unread = True
        self.act("Taking it all away")

    def removed(self, text: str) -> None:
        """Something that is gone."""
        self._folded("   removed: ", text)

    def _folded(self, margin: str, text: str, *, below: str = "") -> None:
        """A line; what a terminal has no room for goes below it, behind the same margin or the one given."""
        if self.columns is None:
            self._line(f"{margin}{text}".rstrip())
            return
        width = max(self.columns - len(margin), _NARROWEST)
        rows = wrap(text, width, replace_whitespace=False, break_on_hyphens=False) or [""]
        self._line(f"{margin}{rows[0]}".rstrip())
        for row in rows[1:]:
            self._line(f"{below or margin}{row}")

    def _line(self, text: str) -> None:
        if self.quiet:
            return
        try:
            self.console.line(text)
        except (ReaderGoneError, OSError):
            self.quiet = True
            if not self._unread:
                raise


def _columns() -> int | None:
    """The width of the terminal that is written to, None without one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
