"""Global flags: accepted before and after the subcommand, resolved once into `Settings`.

Each global flag is a real option of the root, of every group and of every command, so one parser reads all
of argv and a flag can never be mistaken for the value of another option. (Moving flags to the front of argv
beforehand was dropped for that reason.) `with_settings` adds the options to a command's signature and takes
them out again: the command itself gets one `Settings`. The position nearest to the command wins, as a whole
for `--env`.

Precedence: flag, then `STAGECRAFT_*`, then the file, then the default. No key of a file speaks of these
flags yet. Every boolean is three-valued until it is resolved, so `--no-dry-run` or `--dry-run=false` undoes
a variable; a variable that is neither true nor false is an error, not false.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, TypeVar

import typer
from typer.core import TyperGroup

from cli.console import Console
from controller.home import Home, locate_home
from events.kernel.errors import UserError, Where, error_code

VARIABLE_UNUSABLE = error_code(
    "variable-unusable", "An environment variable has a value that its flag cannot take."
)
ENVIRONMENT_REQUIRED = error_code(
    "environment-required", "The command needs an environment and none was named."
)
ENVIRONMENT_NOT_SINGLE = error_code(
    "environment-not-single", "The command works on one environment and several were named."
)

REASON_REQUIRED = error_code("reason-required", "The command is recorded with a reason and none was given.")

HELP_NAMES = ("--help", "-h")
DEFAULT_CONFIG = "stagecraft.yml"
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
_ASSIGNED_SWITCH = re.compile(r"--(?P<name>verbose|quiet|dry-run)=(?P<value>.*)", re.DOTALL)

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalFlags:
    """Global flags as given at one position; None or empty: not given there."""

    home: str | None = None
    config: str | None = None
    env: tuple[str, ...] = ()
    verbose: bool | None = None
    quiet: bool | None = None
    dry_run: bool | None = None

    def over(self, outer: GlobalFlags | None) -> GlobalFlags:
        """These flags, and `outer`'s where these are not given."""
        if outer is None:
            return self
        return GlobalFlags(
            home=_nearest(self.home, outer.home),
            config=_nearest(self.config, outer.config),
            env=self.env or outer.env,
            verbose=_nearest(self.verbose, outer.verbose),
            quiet=_nearest(self.quiet, outer.quiet),
            dry_run=_nearest(self.dry_run, outer.dry_run),
        )


def _nearest(inner: R | None, outer: R | None) -> R | None:
    return outer if inner is None else inner


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a command works with, resolved once."""

    home: Home  # need not exist
    config: str  # path of the project file, as written
    environments: tuple[str, ...]  # as written: `prod` or `shop/prod`; empty: none named
    verbose: bool
    quiet: bool
    dry_run: bool
    cwd: Path
    environ: Mapping[str, str] = field(repr=False)  # holds secrets: never shown
    console: Console

    @property
    def environment(self) -> str | None:
        """The one environment named, None for none. Raises UserError `environment-not-single`."""
        if len(self.environments) > 1:
            raise UserError(
                ENVIRONMENT_NOT_SINGLE,
                f"several environments were named: {', '.join(self.environments)}",
                next="give --env once",
            )
        return self.environments[0] if self.environments else None

    def required_environment(self, known: Iterable[str] | None = None) -> str:
        """The one environment named; there is no default for it.

        Raises UserError `environment-required` with those that are `known`, to the log unless given.
        """
        named = self.environment
        if named is None:
            listed = ", ".join(sorted(self._recorded() if known is None else known))
            raise UserError(
                ENVIRONMENT_REQUIRED,
                "no environment was named",
                why=f"known environments: {listed}" if listed else "",
                next="add --env NAME",
            )
        return named

    def _recorded(self) -> list[str]:
        from controller.bootstrap import open_log
        from controller.targets import known_targets

        with open_log(self.home) as log:
            return [str(one) for one in known_targets(log)]


def resolve(flags: GlobalFlags, *, environ: Mapping[str, str], cwd: Path) -> Settings:
    """The settings of one call. Raises UserError `variable-unusable`."""
    named = environ.get("STAGECRAFT_ENV", "")
    quiet = _switch(flags.quiet, "STAGECRAFT_QUIET", environ=environ)
    verbose = _switch(flags.verbose, "STAGECRAFT_VERBOSE", environ=environ)
    return Settings(
        home=locate_home(flags.home, environ=environ, cwd=cwd),
        config=flags.config or environ.get("STAGECRAFT_CONFIG") or DEFAULT_CONFIG,
        environments=flags.env or ((named,) if named else ()),
        verbose=verbose,
        quiet=quiet,
        dry_run=_switch(flags.dry_run, "STAGECRAFT_DRY_RUN", environ=environ),
        cwd=cwd,
        environ=environ,
        console=Console(quiet=quiet, verbose=verbose),
    )


def _switch(flag: bool | None, variable: str, *, environ: Mapping[str, str]) -> bool:
    """A boolean by precedence; an empty variable counts as not set."""
    if flag is not None:
        return flag
    written = environ.get(variable, "")
    if written == "":
        return False
    if written.lower() in _TRUE | _FALSE:
        return written.lower() in _TRUE
    raise UserError(
        VARIABLE_UNUSABLE,
        f"{variable} is neither true nor false",
        where=Where(key=variable),
        why=f"its value is {written!r}",
        next=f"set {variable} to true or false, or unset it",
    )


def required_reason(reason: str, what: str) -> str:
    """`reason`, which must say something. Raises UserError `reason-required`."""
    if not reason.strip():
        raise UserError(REASON_REQUIRED, f"{what} with a reason", next="add --reason TEXT")
    return reason


def normalised(argv: Sequence[str]) -> list[str]:
    """`argv` with `--dry-run=false` written as `--no-dry-run`, for every global switch; `--` ends the search.

    A value that is no boolean is left as it is, and the parser refuses it.
    """
    words: list[str] = []
    for index, word in enumerate(argv):
        if word == "--":
            return [*words, *argv[index:]]
        words.append(_spelled_out(word))
    return words


def _spelled_out(word: str) -> str:
    match = _ASSIGNED_SWITCH.fullmatch(word)
    value = match["value"].lower() if match else ""
    if match is None or value not in _TRUE | _FALSE:
        return word
    return f"--{match['name']}" if value in _TRUE else f"--no-{match['name']}"


_HELP = {
    "home": "Folder of the log and its views. [STAGECRAFT_HOME, default: .stagecraft]",
    "config": f"The project file. [STAGECRAFT_CONFIG, default: {DEFAULT_CONFIG}]",
    "env": "Environment: `prod`, or `shop/prod` where two projects have one. [STAGECRAFT_ENV]",
    "verbose": "Say more; a bug shows its traceback. [STAGECRAFT_VERBOSE]",
    "quiet": "Say nothing but results and errors. [STAGECRAFT_QUIET]",
    "dry_run": "Say what would be done and do nothing. [STAGECRAFT_DRY_RUN]",
}
_SHAPES: dict[str, tuple[Any, tuple[str, ...], str | None]] = {
    "home": (str | None, ("--home",), "DIR"),
    "config": (str | None, ("--config", "-c"), "FILE"),
    "env": (list[str] | None, ("--env", "-e"), "NAME"),
    "verbose": (bool | None, ("--verbose/--no-verbose", "-v"), None),
    "quiet": (bool | None, ("--quiet/--no-quiet", "-q"), None),
    "dry_run": (bool | None, ("--dry-run/--no-dry-run",), None),
}


def _parameters(shown: Sequence[str]) -> list[inspect.Parameter]:
    """The global options as parameters of a command; those not in `shown` work, its help leaves them out."""
    made: list[inspect.Parameter] = []
    for name, (kind, spellings, metavar) in _SHAPES.items():
        option = typer.Option(*spellings, help=_HELP[name], metavar=metavar, hidden=name not in shown)
        made.append(
            inspect.Parameter(
                f"global_{name}",
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind, option],
            )
        )
    return made


def _taken(values: dict[str, Any]) -> GlobalFlags:
    """Take the global options out of a command's keyword arguments."""
    given: dict[str, Any] = {name: values.pop(f"global_{name}") for name in _SHAPES}
    given["env"] = tuple(given["env"] or ())
    return GlobalFlags(**given)


def _with_signature(
    wrapper: Callable[..., Any], parameters: list[inspect.Parameter], *, shown: Sequence[str]
) -> None:
    """Give `wrapper` the signature that Typer reads: the context, its own parameters, the global options."""
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    every = [context, *own, *_parameters(shown)]
    wrapper.__dict__["__signature__"] = inspect.Signature(every)
    wrapper.__annotations__ = {one.name: one.annotation for one in every}


def with_settings(
    *shown: str,
) -> Callable[[Callable[Concatenate[Settings, ...], R]], Callable[..., R]]:
    """Turn a function of `Settings` and its own options into a Typer command that takes the global flags too.

    `shown` names the flags worth a line in the command's own help (`"env"`, `"dry_run"`); the root's help
    has them all.
    """

    def decorate(function: Callable[Concatenate[Settings, ...], R]) -> Callable[..., R]:
        @wraps(function)
        def command(**values: Any) -> R:  # noqa: ANN401  # options of any type, checked by the parser
            context: typer.Context = values.pop("context")
            return _called(function, _taken(values).over(context.obj), values)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        _with_signature(command, own, shown=shown)
        return command

    return decorate


def _called(
    function: Callable[Concatenate[Settings, ...], R], flags: GlobalFlags, values: Mapping[str, Any]
) -> R:
    settings = resolve(flags, environ=dict(os.environ), cwd=Path.cwd())
    with settings.console.explained():
        return function(settings, **values)


def group(
    help_text: str,
    *,
    root: bool = False,
    alone: Callable[Concatenate[Settings, ...], Any] | None = None,
    kind: type[TyperGroup] = TyperGroup,
) -> typer.Typer:
    """A group of commands that takes the global flags.

    Called without a command it does what `alone` does, with the options that `alone` declares, or shows its
    help.
    """
    made = typer.Typer(
        cls=kind,
        help=help_text,
        add_completion=root,
        rich_markup_mode=None,  # plain help: the same bytes everywhere, and no import of Rich
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": list(HELP_NAMES), "max_content_width": 100},
    )

    def remember(**values: Any) -> Any:  # noqa: ANN401  # options of any type, checked by the parser
        context: typer.Context = values.pop("context")
        context.obj = _taken(values).over(context.obj)
        if context.invoked_subcommand is not None:
            return None
        if alone is not None:
            return _called(alone, context.obj, values)
        return Console().text(context.get_help())

    own = [] if alone is None else list(inspect.signature(alone, eval_str=True).parameters.values())[1:]
    _with_signature(remember, own, shown=tuple(_SHAPES) if root else ())
    made.callback(invoke_without_command=True, help=help_text)(remember)
    return made
