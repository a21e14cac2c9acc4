"""``%clnrm guard``: end a notebook on purpose, with one line that stays and says why."""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.api.guard import Guard
    from clnrm_nb.commands.tree import Call

__all__ = ["end_unless_guarded"]


def end_unless_guarded(call: Call, options: dict[str, Any], names: Mapping[str, Any]) -> Guard:
    """Carry out ``%clnrm guard [VAR]``.

    Raises
    ------
    SystemExit
        Status 0: the notebook ends here. papermill and ``clnrm notebooks`` take it for a clean stop.
    UsageError
        The notebook has no such variable.
    """
    from clnrm_nb import api
    from clnrm_nb.api.guard import guard

    context = api.context(options)
    options.pop("parameters", None)
    options.pop("detach", None)
    variable = call.arguments[0]
    value = _value_of(variable, names) if variable is not None else True
    found = guard(variable, value=value, context=context, **options)
    if not found.passes:
        _end(found)
    return found


def _value_of(variable: str, names: Mapping[str, Any]) -> Any:
    if variable not in names:
        close = get_close_matches(variable, [name for name in names if not name.startswith("_")], n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Assign it in the cell tagged `parameters`."
        raise UsageError(f"%clnrm guard: the notebook has no variable {variable!r}", hint=hint)
    return names[variable]


def _end(found: Guard) -> None:
    from IPython.display import display

    data = {
        "text/plain": f"skipped: {found.reason}",
        "text/html": found._repr_mimebundle_()["text/html"],
    }
    # The metadata is for `clnrm notebooks`, which reports the reason.
    display(data, raw=True, metadata={"clnrm": {"skipped": found.reason}})  # type: ignore[no-untyped-call]  # IPython ships no annotation for it
    # IPython would add advice on how to leave a terminal.
    warnings.filterwarnings("ignore", message="To exit: use")
    raise SystemExit(0)
