"""The click tree, built from the one table of :mod:`clnrm_nb.commands.table`.

The same tree serves ``clnrm …`` and ``%clnrm …``. A command here decides nothing: it collects what was
*given* (a flag that was not typed does not exist) and hands a :class:`Call` back; who asked for the tree
carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from clnrm_nb.commands.table import COMMANDS, SETS, Argument, Command, Flag, flags_of
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from click.shell_completion import CompletionItem

    Names = Callable[[str], Iterable[str]]

__all__ = ["Call", "build_tree"]


@dataclass(frozen=True, slots=True)
class Call:
    """A command line, understood: the command, its positional words and the options that were given."""

    command: Command
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class _Tree(click.Group):
    """A group that takes its general flags on either side of the command and suggests close matches."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        two_words = " ".join(args[:2])
        if two_words in self.commands:
            return two_words, self.commands[two_words], args[2:]
        if args and args[0] not in self.commands and ctx.resilient_parsing:
            # Somebody completes the line, which is not all there.
            return None, None, args
        if args and args[0] not in self.commands:
            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands of one word and of two, the second after the first; then general flags."""
        from click.shell_completion import CompletionItem

        typed = [*ctx._protected_args, *ctx.args]  # noqa: SLF001  # Click has no other name for it.
        begun = "".join(f"{word} " for word in typed)
        words = {
            name.removeprefix(begun).partition(" ")[0]
            for name in self.commands
            if name.startswith(begun) and name != begun
        }
        found = [CompletionItem(word) for word in sorted(words) if word.startswith(incomplete)]
        return found if typed else [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [name for name, command in self.commands.items() if not command.hidden]


class _Percent(click.FloatRange):
    """``5`` or ``5%``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number: Any = value.strip().removesuffix("%") if isinstance(value, str) else value
        return super().convert(number, param, ctx)


_TYPES: dict[str, click.ParamType[Any]] = {
    "text": click.STRING,
    "duration": click.STRING,
    "int": click.IntRange(min=0),
    "float": click.FloatRange(min=0),
    "percent": _Percent(min=0, max=100),
    # Existence is the business of the command: one message for a missing file, whoever asks.
    "file": click.Path(path_type=str),
    "directory": click.Path(path_type=str),
}


def _option(flag: Flag) -> click.Option:
    names = [f"--{flag.name}", *(f"--{alias}" for alias in flag.aliases)]
    if flag.short:
        names.insert(0, f"-{flag.short}")
    if flag.name == flag.short:
        names = [f"-{flag.name}"]
    help_text = flag.help if flag.key is None else f"{flag.help} [{flag.key}]"
    kind: dict[str, Any]
    if flag.kind == "switch":
        kind = {"is_flag": True, "default": None, "flag_value": True, "type": click.BOOL}
    elif flag.kind == "count":
        kind = {"count": True, "default": None}
    elif flag.kind == "choice":
        kind = {"type": click.Choice(flag.choices), "default": None}
    else:
        kind = {"type": _TYPES[flag.kind], "default": None, "multiple": flag.multiple}
    return click.Option([*names, _destination(flag)], help=help_text, metavar=flag.metavar, **kind)


def _destination(flag: Flag) -> str:
    """Click wants an identifier; ``as`` and ``raise`` are words of Python."""
    return f"opt_{flag.option}"


def _given(flags: Iterable[Flag], values: dict[str, Any]) -> dict[str, Any]:
    """The options that were typed."""
    given = {flag.option: values.get(_destination(flag)) for flag in flags}
    return {name: value for name, value in given.items() if value is not None and value != ()}


def _completer(argument: Argument, names: Names | None) -> Any:
    """What Click asks for words that go on from what has been typed."""
    if argument.names is None or names is None:
        return None
    kind = argument.names
    return lambda _ctx, _param, incomplete: [name for name in names(kind) if name.startswith(incomplete)]


def _click_command(command: Command, *, notebook: bool, names: Names | None) -> click.Command:
    flags = flags_of(command, notebook=notebook)
    params: list[click.Parameter] = [_option(flag) for flag in flags]
    argument = command.argument
    if argument:
        params.insert(
            0,
            click.Argument(
                [argument.name],
                nargs=-1 if argument.many else 1,
                required=argument.required,
                metavar=f"[{argument.metavar}]..." if argument.many else argument.metavar,
                shell_complete=_completer(argument, names),
            ),
        )

    def callback(**values: Any) -> Call:
        arguments: tuple[Any, ...] = ()
        if argument:
            typed = values[argument.name]
            if argument.default is not None and typed in (None, ()):
                typed = (argument.default,) if argument.many else argument.default
            arguments = (typed,)
        before = click.get_current_context().meta.get("clnrm_nb.general", {})
        return Call(command, arguments, {**before, **_given(flags, values)})

    return click.Command(
        command.name,
        params=params,
        callback=callback,
        help=command.help,
        short_help=command.help,
        epilog=f"Formats: {', '.join(command.formats)}.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def build_tree(*, notebook: bool = False, names: Names | None = None) -> click.Group:
    """The whole tree; with ``notebook`` each command also takes the N flags.

    Parameters
    ----------
    names : callable, optional
        Gives the names there are of a kind (``tests``), to complete a line.

    Returns
    -------
    click.Group
        Called with ``standalone_mode=False`` it returns a :class:`Call`.
    """
    general = SETS["G"]

    def remember(**values: Any) -> None:
        click.get_current_context().meta["clnrm_nb.general"] = _given(general, values)

    tree = _Tree(
        "clnrm",
        params=[_option(flag) for flag in general],
        callback=remember,
        help="Run services in containers, get their spans as a DataFrame, and be told what changed.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    click.version_option(__version__, prog_name="clnrm", message="%(prog)s %(version)s")(tree)
    for command in COMMANDS:
        if command.notebook_only and not notebook:
            continue
        built = _click_command(command, notebook=notebook, names=names)
        tree.add_command(built)
        for alias in command.aliases:
            twin = _click_command(command, notebook=notebook, names=names)
            twin.hidden = True
            tree.add_command(twin, alias)
    return tree
