"""The root's table of commands: names and summaries at hand, modules imported when a command is asked for.

To list twenty commands nobody has to import them, so `--help` costs what the parser costs, and a command
costs what it needs itself. The price is that a summary stands twice, here and in the docstring that it
comes from; a test compares them. (A cache of what the modules say was dropped: a file that can be stale.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption
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
    """An option that takes plain values as they are; the parser would import pydantic for each of them."""

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401  # as in the parser
        """The value in the option's type, None for none."""
        return _processed(self, ctx, value, super().process_value)


class _HastyArgument(TyperArgument):
    """An argument that takes plain values as they are."""

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401  # as in the parser
        """The value in the argument's type, None for none."""
        return _processed(self, ctx, value, super().process_value)


def _processed(
    parameter: Any,  # noqa: ANN401  # as in the parser
    ctx: Any,  # noqa: ANN401  # as in the parser
    value: Any,  # noqa: ANN401  # as in the parser
    by_parser: Callable[[Any, Any], Any],
) -> Any:  # noqa: ANN401  # as in the parser
    found = _plain(value, parameter.type_descriptor)
    if found is None and (value is not None or parameter.required):
        return by_parser(ctx, value)
    return found if parameter.callback is None else parameter.callback(ctx, parameter, found)


_MOST_DIGITS = 15


def _plain(value: Any, descriptor: Any) -> Any:  # noqa: ANN401  # as in the parser
    """What the parser would make of `value`, where that is plain; None: the parser has to say.

    Text in ASCII stands for itself and digits for a number within its bounds. Whatever may be refused or
    changed is left to the parser: its bounds, its choices, its files, and bytes that are no text.
    """
    kind, info = descriptor.annotation, descriptor.parameter_info
    if info.parser is not None:
        return None
    if kind is str:
        return value if isinstance(value, str) and value.isascii() else None
    if kind == list[str]:
        plain = bool(value) and all(isinstance(one, str) and one.isascii() for one in value)
        return list(value) if plain else None
    if kind is int:
        return _plain_number(value, least=info.min, most=info.max)
    return None


def _plain_number(value: Any, *, least: float | None, most: float | None) -> int | None:  # noqa: ANN401  # as above
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        value = int(value)
    if type(value) is not int:
        return None
    return None if (least is not None and value < least) or (most is not None and value > most) else value


def _hasten(command: Any) -> None:  # noqa: ANN401  # as above
    """Hasten all parameters of a command, the parser's own `--help` too, and of the commands below it."""
    _hastened(command.get_params(typer.Context(command, help_option_names=list(HELP_NAMES))))
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            _hasten(child)


def _hastened(parameters: list[Any]) -> list[Any]:
    for one in parameters:  # the parser makes them itself and takes no classes for them
        if type(one) is TyperOption:
            one.__class__ = _HastyOption
        elif type(one) is TyperArgument:
            one.__class__ = _HastyArgument
    return parameters
