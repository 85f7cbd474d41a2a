"""The root's table of commands: names and summaries at hand, modules imported when a command is asked for.

To list twenty commands nobody has to import them, so `--help` costs what the parser costs, and a command
costs what it needs itself. The price is that a summary stands twice, here and in the docstring that it
comes from; a test compares them. (A cache of what the modules say was dropped: a file that can be stale.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from cli.settings import HELP_NAMES


class Entry(NamedTuple):
    """One line of the table."""

    name: str
    module: str
    attribute: str  # a function made a command by `with_settings`, or a `group`
    summary: str

    def load(self) -> Any:  # noqa: ANN401  # the parser's own class, which it does not export
        """Import the module and make the command."""
        found: Any = getattr(import_module(self.module), self.attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            alone.command(self.name)(found)
            found = alone
        command = get_command(found)
        command.name = self.name
        _hasten(command)
        return command


class _Commands(Mapping[str, Any]):
    """Commands by name, each made at its first use."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # as above
        if name not in self._made:
            self._made[name] = self._entries[name].load()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def contents(entries: tuple[Entry, ...]) -> type[TyperGroup]:
    """A class of group that has the commands of `entries` and lists them in this order."""

    class Contents(TyperGroup):
        def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  # passed on as they come
            super().__init__(**attributes)
            self.commands = cast("dict[str, Any]", _Commands(entries))

        def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401  # as above
            return _hastened(super().get_params(ctx))

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  # as above
            del ctx
            return list(self.commands)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # as above
            del ctx
            with formatter.section("Commands"):
                formatter.write_dl([(entry.name, entry.summary) for entry in entries])

    return Contents


class _HastyOption(TyperOption):
    """An option that is None at once when nobody gave it; the parser would import pydantic to see that."""

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401  # as in the parser
        """The value in the option's type, None for none."""
        if value is not None or self.required:
            return super().process_value(ctx, value)
        return None if self.callback is None else self.callback(ctx, self, None)


def _hasten(command: Any) -> None:  # noqa: ANN401  # as above
    """Hasten all options of a command, the parser's own `--help` too, and of the commands below it."""
    _hastened(command.get_params(typer.Context(command, help_option_names=list(HELP_NAMES))))
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            _hasten(child)


def _hastened(parameters: list[Any]) -> list[Any]:
    for one in parameters:
        if type(one) is TyperOption:
            one.__class__ = _HastyOption  # the parser makes its options itself and takes no class for them
    return parameters
