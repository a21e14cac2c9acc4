"""The entry point of ``clnrm``: parse, call, show, exit.

Reports go to stdout, progress and errors to stderr; the exit status is the result's (``format.md`` 11.2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from clnrm_nb.codes import EXIT_INTERRUPTED
from clnrm_nb.commands.tree import Call, build_tree
from clnrm_nb.errors import ClnrmError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from clnrm_nb.api import Context

__all__ = ["main", "run_command_line"]


def main() -> NoReturn:
    """Run ``sys.argv`` and exit.

    SIGTERM and SIGHUP are interrupts as Ctrl-C is: clean up, report, exit 130. One more of any of them, and
    the process ends at once, leaving the rest of the clean-up to the reaper.
    """
    _heed(signal.default_int_handler)
    try:
        exit_code = run_command_line(sys.argv[1:])
    except KeyboardInterrupt:
        exit_code = EXIT_INTERRUPTED
    # All is done: an interrupt while the interpreter takes itself down changes nothing.
    _heed(signal.SIG_IGN)
    if exit_code == EXIT_INTERRUPTED:
        _leave(exit_code)
    sys.exit(exit_code)


def _heed(handler: signal.Handlers | Callable[[int, FrameType | None], object]) -> None:
    """Answer all requests to stop alike; what whoever started us ignores (``nohup``) stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
                signal.signal(number, handler)


def _leave(exit_code: int) -> NoReturn:
    """End without waiting for threads: an engine that hangs would hold them, and the reaper takes over."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def run_command_line(words: Sequence[str]) -> int:
    """Carry out one command line.

    Parameters
    ----------
    words : sequence of str
        What follows ``clnrm``.

    Returns
    -------
    int
        The exit status.
    """
    try:
        call = build_tree(names=_names).main(list(words), prog_name="clnrm", standalone_mode=False)
        return carry_out(call) if isinstance(call, Call) else int(call or 0)
    except click.ClickException as error:
        error.show()
        return 2
    except BrokenPipeError:
        # Whoever read us has seen enough (`clnrm spans … | head`).
        sys.stderr.close()
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # The last line of defence: one clear message.
        if "--debug" in words:
            traceback.print_exception(error)
        return _report(error)


def _names(kind: str) -> list[str]:
    """What a shell completes."""
    from clnrm_nb.api.completing import names_of

    return names_of(kind)


def _report(error: BaseException) -> int:
    """Say on stderr what went wrong; the exit status it means."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    if not isinstance(error, ClnrmError):
        sentence = f"{type(error).__name__}: {error}, please report"
        error = InternalError(sentence, hint="Run again with --debug for the traceback.")
    for finding in error.diagnostics:
        hint = f"\n  {finding.hint}" if finding.hint else ""
        click.echo(f"{finding.severity}: {finding}{hint}", err=True)
    # An error that stands for its findings often has the sentence of the first one.
    if all(finding.message != error.message for finding in error.diagnostics):
        click.echo(f"error: {error}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"  {note}", err=True)
    return error.exit_code


def carry_out(call: Call) -> int:
    """Call the function of a command, show its result on stdout, and tell the exit status."""
    from clnrm_nb import api
    from clnrm_nb.api.logs import log_on_stderr
    from clnrm_nb.cli.show import Screen

    options: dict[str, Any] = dict(call.options)
    context = api.context(options, needs_configuration=call.command.needs_configuration)
    if call.command.name == "review":
        from clnrm_nb.cli.review import review, wants_review

        if wants_review(context, options):
            ids = call.arguments[0] if call.arguments else ()
            return review(ids, context, by=options.get("by"), message=options.get("message"))
    if call.command.name == "baseline gc" and sys.stdin.isatty() and sys.stderr.isatty():
        options["ask"] = _may_go
    screen = Screen(call.command, context, options)
    asks = call.command.name == "baseline learn" and _asks_about_rules(context, options)
    if call.command.name in ("run", "watch"):
        from clnrm_nb.cli.watch import wants_watch, watch

        if wants_watch(call.command.name, context):
            with log_on_stderr(context):
                result = watch(call.arguments[0], context, options)
            screen.show(result)
            return int(result.exit_code)
    with log_on_stderr(context), screen.progress() as listener:
        if listener is not None:
            options["listener"] = listener
        result = getattr(api, call.command.function)(*call.arguments, context=context, **options)
    screen.show(result)
    if asks:
        from clnrm_nb.cli.learn import ask

        ask(result)
    return int(result.exit_code)


def _asks_about_rules(context: Context, options: dict[str, Any]) -> bool:
    from clnrm_nb.cli.review import wants_review

    return wants_review(context, options) and not options.get("dry_run")


def _may_go(files: Sequence[str]) -> bool:
    """Ask for files that are about to be removed."""
    for file in files:
        click.echo(file, err=True)
    what = "this baseline" if len(files) == 1 else f"these {len(files)} baselines"
    return click.confirm(f"No scenario owns {what}. Remove?", err=True)
