"""``%clnrm guard``: end a notebook on purpose, with one line that stays and says why.

In front of a person the guard raises ``SystemExit(0)``: the cells that wait are dropped, and the kernel stays
usable. Programs that execute notebooks would take that for a failure (nbclient, nbval). Where nobody looks on
the guard's cell just ends, and each later one does nothing but say that it was skipped: any runner sees a
notebook that ended well, and nobody who reads it can take it for one that ran.
"""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from html import escape
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import UsageError
from clnrm_nb.notebook.session import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api.guarding import Guard
    from clnrm_nb.commands.tree import Call

__all__ = ["NotebookEnded", "end_unless_guarded"]


class NotebookEnded(BaseException):
    """Leaves the guard's cell where nobody looks on; IPython shows nothing of it.

    As ``SystemExit`` it is no ``Exception``: code of the notebook that handles errors is not meant.
    """


def end_unless_guarded(call: Call, options: dict[str, Any], shell: InteractiveShell) -> Guard:
    """Carry out ``%clnrm guard [VAR]``.

    Raises
    ------
    SystemExit
        Status 0: the notebook ends here, in front of a person.
    NotebookEnded
        The notebook ends here, and `shell` does nothing from now on.
    UsageError
        The notebook has no such variable.
    """
    from clnrm_nb import api
    from clnrm_nb.api.guarding import guard

    context = api.context(options)
    options.pop("parameters", None)
    options.pop("detach", None)
    variable = call.arguments[0]
    value = _value_of(variable, shell.user_ns) if variable is not None else True
    found = guard(variable, value=value, context=context, **options)
    if found.passes:
        return found
    _say_skipped(found.reason)
    if place(shell) == "headless":
        _make_inert(shell, found.reason)
        raise NotebookEnded(found.reason)
    # IPython would add advice on how to leave a terminal.
    warnings.filterwarnings("ignore", message="To exit: use")
    raise SystemExit(0)


def _value_of(variable: str, names: Mapping[str, Any]) -> Any:
    if variable not in names:
        close = get_close_matches(variable, [name for name in names if not name.startswith("_")], n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Assign it in the cell tagged `parameters`."
        raise UsageError(f"%clnrm guard: the notebook has no variable {variable!r}", hint=hint)
    return names[variable]


def _say_skipped(reason: str) -> None:
    from IPython.display import display

    sentence = f"skipped: {reason}"
    data = {"text/plain": sentence, "text/html": f"<p>{escape(sentence)}</p>"}
    # The metadata is for `clnrm notebooks` and our pytest plugin, which report the reason.
    display(data, raw=True, metadata={"clnrm": {"skipped": reason}})  # type: ignore[no-untyped-call]  # IPython ships no annotation for it


def _make_inert(shell: InteractiveShell, reason: str) -> None:
    """Let the present cell end without an error, and turn each later one into nothing.

    Uses IPython's documented hooks only: an input transformer, cell events, a handler of exceptions.
    """

    def nothing(_: list[str]) -> list[str]:
        return ["pass\n"]

    def say_skipped(_: Any) -> None:
        _say_skipped(reason)

    def forgive(result: Any) -> None:
        # The kernel's reply is made from this; an error in it is what runners turn red for.
        if isinstance(getattr(result, "error_in_exec", None), NotebookEnded):
            result.error_in_exec = None

    # Before all others: what stands in a later cell must not even be looked at.
    shell.input_transformers_cleanup.insert(0, nothing)
    shell.set_custom_exc((NotebookEnded,), lambda *_, **__: None)  # type: ignore[no-untyped-call]  # ships no annotation
    shell.events.register("pre_run_cell", say_skipped)
    shell.events.register("post_run_cell", forgive)
