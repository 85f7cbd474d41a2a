"""`stagecraft exec`: a program of a person's choice in a container of a service, on whichever host it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.reached import HostOption, RoleOption
from cli.settings import Settings, with_settings
from cli.shown_lines import ShownLines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.console import Console
    from controller.tailing import Wanted
    from projections.engine.programs import ProgramSource


@with_settings("env")
def execute(
    settings: Settings,
    *,
    command: Annotated[
        list[str], typer.Argument(metavar="CMD", help="The program and its arguments, after `--`.")
    ],
    service: Annotated[
        str, typer.Option("--service", metavar="NAME", help="In a container of this service.")
    ],
    host: HostOption = None,
    role: RoleOption = None,
    index: Annotated[
        int | None,
        typer.Option("--index", metavar="N", min=1, help="In replica N, as `logs` numbers them."),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Pass its output on byte by byte, unmasked, as for a dump.")
    ] = False,
) -> int:
    """Run a program in a running container of a service and answer with its exit code.

    At a terminal it gets one, and every key. Otherwise it gets what comes on standard input, and its output
    is shown line by line with secrets masked, unless --raw says otherwise; both streams stay apart.

    Where several containers would do it is the healthiest, of those the newest, and that one is named.
    Each argument arrives as it is; for a pipe or a variable of the container: `-- sh -c 'echo "$HOME"'`.

    Exit codes: those of the program, 126 or 127 when it cannot be started; without it, 1 no such
    environment, service, host or role, or no container of it runs; 2 a host does not answer; 130 after
    Ctrl-C.
    """
    import asyncio

    from cli.reached import reached
    from cli.terminal import at_terminal
    from controller.tailing import Wanted

    with reached(settings, host=host, role=role) as place:
        for one in place.without:
            settings.console.warning(f"{one}: nobody says how it is reached, so it was not asked")
        wanted = Wanted(target=place.target, lineage=place.lineage, service=service, adopted=place.adopted)
        call = _Call(console=settings.console, argv=command, at_terminal=at_terminal() and not raw, raw=raw)
        try:
            return asyncio.run(call.run(place.engines, wanted, known=place.services, index=index))
        except KeyboardInterrupt:
            settings.console.warning(f"{command[0]} may run on in the container")
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call of a program."""

    console: Console
    argv: Sequence[str]
    at_terminal: bool
    raw: bool  # its output as it is

    async def run(
        self,
        sources: Mapping[str, ProgramSource],
        wanted: Wanted,
        *,
        known: frozenset[str],
        index: int | None,
    ) -> int:
        """The program's exit code, when its output has been shown."""
        from controller.running import candidates

        found = await candidates(sources, wanted, known=known, index=index)
        for host, error in found.silent.items():
            self.console.warning(f"{host}: {error.message}")
        if found.others:
            others = ", ".join(one.source for one in found.others)
            self.console.progress(f"in {found.best}; also there: {others}")
        source, container = sources[found.best.host], found.best.container.id
        if self.at_terminal:
            return await self._speak(source, container)
        from cli.terminal import pass_input_on

        program = await source.run_program(container, self.argv)
        with closing(program):
            pass_input_on(program.write, program.end_input)
            lines = None if self.raw else ShownLines(self.console)
            while (written := await program.read()) is not None:
                if lines is None:
                    self.console.content(written.content, error=written.error)
                else:
                    lines.take(written.content, error=written.error)
            if lines is not None:
                lines.end()
            return await program.exit_code()

    async def _speak(self, source: ProgramSource, container: str) -> int:
        """A person and the program at one terminal; nothing is masked, for the program draws on it."""
        from cli.terminal import pass_input_on, raw_terminal, told_of_resizes, window_size

        program = await source.run_program(container, self.argv, terminal=window_size())
        with closing(program), raw_terminal(), told_of_resizes(program.resize):
            pass_input_on(program.write, program.end_input)
            while (written := await program.read()) is not None:
                self.console.content(written.content)
            return await program.exit_code()
