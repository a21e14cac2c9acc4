"""``guard``: whether the rest of a notebook can do anything here (``%clnrm guard``, notebook only)."""

from __future__ import annotations

from typing import Any, Final

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends import open_backend
from clnrm_nb.executor.loop import run_blocking
from clnrm_nb.report.results import Table

__all__ = ["Guard", "guard"]

_FALSE: Final = frozenset({"", "0", "f", "false", "n", "no", "none", "off"})


class Guard(Table):
    """What a guard found.

    Attributes
    ----------
    passes : bool
        Whether the notebook goes on.
    reason : str
        One sentence.
    """

    def __init__(self, *, passes: bool, reason: str) -> None:
        self.passes = passes
        self.reason = reason
        state = "passed" if passes else "skipped"
        super().__init__("", ("status", "guard"), [[state, reason]], command="guard")


def guard(
    variable: str | None = None,
    *,
    value: Any = True,
    reason: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> Guard:
    """Whether a variable is true and the backend answers.

    Parameters
    ----------
    variable : str, optional
        Its name, for the sentence.
    value : object
        Its value. Text such as ``"false"`` or ``"no"`` is false: parameters arrive as text.
    reason : str, optional
        Shown in place of our own sentence where the notebook ends.
    **options
        ``backend``: the one that must answer, in place of the configured one.
    """
    here = context_of(context, options)
    refuse_unknown("guard", options)
    if variable is not None and not is_true(value):
        return Guard(passes=False, reason=reason or f"{variable} is {value!r}")
    name = here.settings.executor.backend
    try:
        run_blocking(_reach(name, here))
    except ClnrmError as error:
        return Guard(passes=False, reason=reason or f"backend {name}: {error.message}")
    return Guard(passes=True, reason=f"backend {name} answers")


def is_true(value: Any) -> bool:
    """Truth as people type it in parameters."""
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


async def _reach(name: str, here: Context) -> None:
    backend = await open_backend(name, here.settings)
    await backend.close()
