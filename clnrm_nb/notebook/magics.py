"""``%clnrm`` and ``%%clnrm``: the command line of the command line, with a result object as value.

Thin on purpose. Words go to the same click tree, the same functions of :mod:`clnrm_nb.api` are called, and
the object comes back: nothing is printed, nothing on the line or in the cell is expanded.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from clnrm_nb.errors import ClnrmError, RunFailedError, UsageError, ValidationFailedError
from clnrm_nb.notebook.completion import offer_completion

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api import Context
    from clnrm_nb.commands.tree import Call
    from clnrm_nb.notebook.live import LiveView
    from clnrm_nb.notebook.watch import WatchView

__all__ = ["ClnrmMagics", "load", "unload"]

_WIDGET_COMMANDS = ("panel", "review")
_CELL_COMMANDS = ("run", "validate", "render", "dry-run")


def load(shell: InteractiveShell) -> None:
    """Register both magics; again changes nothing."""
    if "ClnrmMagics" not in shell.magics_manager.registry:
        shell.register_magics(ClnrmMagics)
        offer_completion(shell)


def unload(shell: InteractiveShell) -> None:
    """Take both magics away, end watchers, and let go of what runs have left open."""
    if "clnrm_nb.notebook.watch" in sys.modules:
        from clnrm_nb.notebook.watch import stop_watchers

        stop_watchers()
    if "clnrm_nb.api.keeping" in sys.modules:
        from clnrm_nb.api.keeping import let_backend_go

        let_backend_go()
    manager = shell.magics_manager
    manager.registry.pop("ClnrmMagics", None)
    for kind in ("line", "cell"):
        manager.magics[kind].pop("clnrm", None)


@magics_class
class ClnrmMagics(Magics):
    """See the module."""

    _is_hidden = False
    """The line ends with a semicolon."""
    _save_as: str | None = None
    """The variable that takes the result, also of a command that goes on to raise."""

    @no_var_expand
    @line_cell_magic
    def clnrm(self, line: str, cell: str | None = None) -> Any:
        """Run a ``clnrm`` command and return its result object.

        ``%clnrm run tests/`` runs scenario files; ``%%clnrm run`` runs the cell's body as one. Every command
        and flag of ``clnrm --help`` works here; ``%clnrm COMMAND --help`` explains one.
        """
        # IPython sees the semicolon inside the string it makes of a magic, where it hides nothing.
        self._is_hidden = line.rstrip().endswith(";")
        call = self._understand(line.rstrip().rstrip(";"))
        if call is None:
            return None
        options = dict(call.options)
        save_as = self._save_as = options.pop("as_name", None)
        self._take_cell(call, cell, options)
        self._take_parameters(options)
        if call.command.name == "guard":
            from clnrm_nb.notebook.guard import end_unless_guarded

            assert self.shell is not None
            return end_unless_guarded(call, options, self.shell)
        result = self._logged(call, options)
        if save_as:
            self._names[save_as] = result
            return None
        return None if self._is_hidden else result

    @property
    def _names(self) -> dict[str, Any]:
        """The variables of the notebook."""
        assert self.shell is not None
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _understand(self, line: str) -> Call | None:
        """Parse the line; ``None`` when it only asked for help."""
        import click

        from clnrm_nb.commands.tree import Call, build_tree

        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%clnrm {line!r}: {error}") from None
        try:
            tree = build_tree(notebook=True)
            call = tree.main(words or ["--help"], prog_name="%clnrm", standalone_mode=False)
        except click.UsageError as error:
            hint = f"%{error.ctx.command_path.lstrip('%')} --help explains it." if error.ctx else None
            raise UsageError(error.format_message(), hint=hint) from None
        return call if isinstance(call, Call) else None

    def _take_cell(self, call: Call, cell: str | None, options: dict[str, Any]) -> None:
        """Turn a cell's body into the test to run."""
        name, save = options.pop("name", None), options.pop("save", None)
        if cell is None:
            if name or save:
                hint = "A line magic has no body to name or save."
                raise UsageError("--name and --save belong to %%clnrm", hint=hint)
            return
        if call.command.name not in _CELL_COMMANDS:
            hint = f"Cell commands: {', '.join(_CELL_COMMANDS)}."
            raise UsageError(f"%%clnrm {call.command.name} takes no cell body", hint=hint)
        if save:
            Path(save).write_text(cell, encoding="utf-8")
        from clnrm_nb.api import Cell

        options["cell"] = Cell(name or "cell", cell, Path.cwd())

    def _take_parameters(self, options: dict[str, Any]) -> None:
        """``-p K=V`` and the dict named by ``--params`` (``clnrm_params`` if there is one)."""
        name = options.pop("params_name", None)
        words = options.pop("parameters", ())
        space = self._names
        if name and not isinstance(space.get(name), dict):
            raise UsageError(f"--params {name}: no dict of this name in the notebook")
        from clnrm_nb.api import parse_assignments

        parameters = dict(space.get(name or "clnrm_params") or {}) | parse_assignments(list(words))
        if parameters:
            options["parameters"] = parameters

    def _logged(self, call: Call, options: dict[str, Any]) -> Any:
        """Carry it out; what is logged meanwhile stands in the output of the cell."""
        from clnrm_nb import api
        from clnrm_nb.api.logs import log_on_stderr

        context = api.context(options, needs_configuration=call.command.needs_configuration)
        with log_on_stderr(context):
            return self._carry_out(call, options, context)

    def _carry_out(self, call: Call, options: dict[str, Any], context: Context) -> Any:
        from clnrm_nb import api

        arguments = () if options.get("cell") else call.arguments
        is_watch = call.command.name == "run" and _asks_to_watch(context)
        if call.command.name == "watch" or is_watch:
            return self._watch(arguments, options, context)
        if call.command.name == "run":
            return self._run(arguments, options, context)
        options.pop("detach", None)
        if call.command.name in _WIDGET_COMMANDS:
            return self._open(call, options, context)
        result = getattr(api, call.command.function)(*arguments, context=context, **options)
        self._raise_if_failed(result, context, command=call.command.name)
        return result

    def _run(self, arguments: tuple[Any, ...], options: dict[str, Any], context: Context) -> Any:
        """Run with a live view, which the result takes the place of."""
        from clnrm_nb import api
        from clnrm_nb.api.keeping import keep_backend
        from clnrm_nb.notebook.live import live_view

        keep_backend()
        wanted = context.settings.notebook
        is_detached = bool(options.get("detach"))
        live = live_view(self.shell, live=wanted.live, widgets=wanted.widgets, is_detached=is_detached)
        if live is None:
            result: Any = api.run(*arguments, context=context, **options)
        else:
            from clnrm_nb.api.live import run_watched

            result = run_watched(*arguments, watcher=live, context=context, **options)
        if is_detached:
            return result
        self._raise_if_failed(result, context, live)
        if live is not None and not self._is_hidden:
            self._settle(live, result)
        return result

    def _watch(self, arguments: tuple[Any, ...], options: dict[str, Any], context: Context) -> Any:
        """Watch with a live view; what it came to takes its place."""
        from clnrm_nb import api
        from clnrm_nb.notebook.watch import open_watch

        if options.get("cell"):
            raise UsageError(
                "%%clnrm run --watch: a cell is not a file that is saved", hint="Use --save FILE."
            )
        result, view = open_watch(arguments, options, context=context, shell=self.shell)
        if isinstance(result, api.Watch):
            return result
        self._raise_if_failed(result, context, view, command="watch")
        if view is not None and not self._is_hidden:
            self._settle(view, result)
        return result

    def _settle(self, live: LiveView | WatchView, result: Any) -> None:
        """Where the result is not shown as the value of its cell, it takes the place of the live view."""
        shell = self.shell
        if shell is None:
            return

        def settle(done: Any) -> None:
            shell.events.unregister("post_run_cell", settle)
            if getattr(done, "result", None) is not result:
                live.replace(result)

        shell.events.register("post_run_cell", settle)

    def _open(self, call: Call, options: dict[str, Any], context: Context) -> Any:
        """The commands that are widgets."""
        from clnrm_nb.notebook.session import place

        has_widgets = context.settings.notebook.widgets and place(self.shell) == "notebook"
        if call.command.name == "panel":
            from clnrm_nb.notebook.panel import open_panel

            return open_panel(call, options, context=context, has_widgets=has_widgets)
        from clnrm_nb.notebook.review.widget import open_review

        result = open_review(*call.arguments, context=context, has_widgets=has_widgets, **options)
        self._raise_if_failed(result, context, command=call.command.name)
        return result

    def _raise_if_failed(
        self,
        result: Any,
        context: Context,
        live: LiveView | WatchView | None = None,
        *,
        command: str = "run",
    ) -> None:
        """Show a failed result, then raise where nobody looks or where it was asked for."""
        from clnrm_nb.notebook.session import has_front_end

        if self._save_as:
            self._names[self._save_as] = result
        exit_code = getattr(result, "exit_code", 0)
        if not exit_code:
            return
        when = context.settings.notebook.raise_
        if when == "never" or (when == "auto" and has_front_end(self.shell) and exit_code == 1):
            return
        from IPython.display import display

        if live is None or not live.replace(result):
            display(result)  # type: ignore[no-untyped-call]  # IPython ships no annotation for it
        raise _error_of(result, exit_code, command)


def _asks_to_watch(context: Context) -> bool:
    """``--watch`` on the line: the configuration's ``cli.watch`` is about the command line."""
    settings = context.settings
    return settings.cli.watch and settings.origin("cli.watch") == "command line"


def _error_of(result: Any, exit_code: int, command: str) -> ClnrmError:
    sentence = getattr(result, "headline", None) or f"%clnrm {command} failed, exit {exit_code}: see above"
    kind = ValidationFailedError if exit_code == 2 else RunFailedError  # noqa: PLR2004  # the table of exit codes
    code = getattr(result, "code", None) or "CLN608"
    return kind(str(sentence), code)
