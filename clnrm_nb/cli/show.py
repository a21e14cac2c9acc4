"""What a command shows: progress on stderr while it works, its result on stdout in the asked-for form."""

from __future__ import annotations

import contextlib
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clnrm_nb.api import Context, Event
    from clnrm_nb.commands import Command
    from clnrm_nb.report.render import Format

__all__ = ["Screen"]

_WITH_PROGRESS = frozenset({"run", "diff", "record", "repro", "redgreen", "baseline learn"})
_VIEW_FORMS: dict[str, Format] = {"json": "json", "html": "html", "markdown": "markdown"}


class Screen:
    """The terminal (or pipe, or file) of one command.

    Raises
    ------
    UsageError
        The command has no such report format.
    """

    def __init__(self, command: Command, context: Context, options: Mapping[str, Any]) -> None:
        self._settings = context.settings
        self._written = options.get("output") if command.name == "diff" else None
        self._format = self._settings.cli.output_format
        if self._format not in command.formats:
            if context.settings.origin("cli.output_format") == "command line":
                formats = ", ".join(command.formats)
                raise UsageError(
                    f"{command.name} has no format {self._format!r}", hint=f"Formats: {formats}."
                )
            self._format = "human"
        # Where stderr is read line by line, by a machine, nothing else is written to it.
        is_read = bool(options.get("emit_events")) or self._settings.output.log_format == "json"
        self._shows_progress = command.name in _WITH_PROGRESS and not is_read

    @property
    def _is_verbose(self) -> bool:
        return self._settings.observability.log_level in ("info", "debug")

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[Event], None] | None]:
        """A listener that draws the run's progress on stderr, if this command has any."""
        if not self._shows_progress:
            yield None
            return
        from clnrm_nb.report.progress import LiveProgress
        from clnrm_nb.report.render import wants_color

        output = self._settings.output
        color = wants_color(output.color, sys.stderr)
        with LiveProgress(color=color, emoji=output.emoji, verbose=self._is_verbose) as listener:
            yield listener

    def show(self, result: Any) -> None:
        """Print the report of a result; of one that was written to a file its name."""
        if self._written is not None:
            click.echo(self._written)
            return
        from clnrm_nb.report.render import render_report, wants_color

        output = self._settings.output
        color = wants_color(output.color, sys.stdout)
        # `diff --view markdown` is a form of its own; a `--format` for machines goes before it.
        view = _VIEW_FORMS.get(getattr(result, "view", ""))
        form: Format = view if view and self._format == "human" else self._format
        text = render_report(
            result, form, color=color, emoji=output.emoji, width=_width(), verbose=self._is_verbose
        )
        click.echo(text, nl=not text.endswith("\n"), color=color)


def _width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns
