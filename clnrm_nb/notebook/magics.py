"""``%clnrm`` and ``%%clnrm``: the command line of the command line, with a result object as value.

Thin on purpose. Words go to the same click tree, the same functions of :mod:`clnrm_nb.api` are called, and
the object comes back: nothing is printed, nothing on the line or in the cell is expanded.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from clnrm_nb.errors import ClnrmError, RunFailedError, UsageError, ValidationFailedError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api import Context
    from clnrm_nb.commands.tree import Call

__all__ = ["ClnrmMagics", "load", "unload"]

_CELL_COMMANDS = ("run", "validate", "render")


def load(shell: InteractiveShell) -> None:
    """Register both magics; again changes nothing."""
    if "ClnrmMagics" not in shell.magics_manager.registry:
        shell.register_magics(ClnrmMagics)


def unload(shell: InteractiveShell) -> None:
    """Take both magics away."""
    manager = shell.magics_manager
    manager.registry.pop("ClnrmMagics", None)
    for kind in ("line", "cell"):
        manager.magics[kind].pop("clnrm", None)


@magics_class
class ClnrmMagics(Magics):
    """See the module."""

    @no_var_expand
    @line_cell_magic
    def clnrm(self, line: str, cell: str | None = None) -> Any:
        """Run a ``clnrm`` command and return its result object.

        ``%clnrm run tests/`` runs scenario files; ``%%clnrm run`` runs the cell's body as one. Every command
        and flag of ``clnrm --help`` works here; ``%clnrm COMMAND --help`` explains one.
        """
        call = self._understand(line)
        if call is None:
            return None
        options = dict(call.options)
        save_as = options.pop("as_name", None)
        self._take_cell(call, cell, options)
        self._take_parameters(options)
        result = self._carry_out(call, options)
        if save_as:
            self._names[save_as] = result
            return None
        return result

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

    def _carry_out(self, call: Call, options: dict[str, Any]) -> Any:
        from clnrm_nb import api

        context = api.context(options)
        runs = call.command.name == "run"
        live = self._live_line(context) if runs and not options.get("detach") else None
        if live is not None:
            options["listener"] = live
        if call.command.flags or call.command.argument:
            _drop_empty_paths(options, call)
        try:
            arguments = () if options.get("cell") else call.arguments
            result = getattr(api, call.command.function)(*arguments, context=context, **options)
        finally:
            if live is not None:
                live.close()
        self._raise_if_failed(result, context)
        return result

    def _live_line(self, context: Context) -> Any:
        from clnrm_nb.notebook.session import has_front_end

        if not (context.settings.notebook.live and has_front_end(self.shell)):
            return None
        from clnrm_nb.notebook.live import LiveLine

        return LiveLine()

    def _raise_if_failed(self, result: Any, context: Context) -> None:
        """Show a failed result, then raise where nobody looks or where it was asked for."""
        from clnrm_nb.notebook.session import has_front_end

        exit_code = getattr(result, "exit_code", 0)
        if not exit_code:
            return
        when = context.settings.notebook.raise_
        if when == "never" or (when == "auto" and has_front_end(self.shell) and exit_code == 1):
            return
        from IPython.display import display

        display(result)  # type: ignore[no-untyped-call]  # IPython ships no annotation for it
        raise _error_of(result, exit_code)


def _drop_empty_paths(options: dict[str, Any], call: Call) -> None:
    """N flags that mean nothing to this command."""
    if call.command.name != "run":
        options.pop("detach", None)


def _error_of(result: Any, exit_code: int) -> ClnrmError:
    sentence = getattr(result, "headline", None) or "the run failed"
    kind = ValidationFailedError if exit_code == 2 else RunFailedError  # noqa: PLR2004  # the table of exit codes
    code = getattr(result, "code", None) or "CLN608"
    return kind(str(sentence), code)
