"""What kind of notebook this is: with a person in front of it, or run by a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Place", "has_front_end", "place"]

Place = Literal["notebook", "terminal", "headless"]


def has_front_end(shell: InteractiveShell | None) -> bool:
    """Whether somebody could answer ``input()``: the one dependable sign of a person.

    papermill, nbclient, ``nbconvert --execute``, ``jupyter execute``, nbmake and nbval all forbid stdin for
    the cells they execute. A terminal IPython has no kernel and counts as attached. The attribute is private
    to ipykernel; ``tests/integration/test_notebook_session.py`` fails with a sentence if it moves.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return shell is not None
    return bool(getattr(kernel, "_allow_stdin", True))


def place(shell: InteractiveShell | None) -> Place:
    """Where output goes: a notebook with a person, a terminal IPython, or nobody."""
    if not has_front_end(shell):
        return "headless"
    return "notebook" if getattr(shell, "kernel", None) is not None else "terminal"
