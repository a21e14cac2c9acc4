"""The notebook front end: ``%clnrm`` and ``%%clnrm``, thin over the same click tree as the command line."""

from __future__ import annotations

from typing import Any

__all__ = ["explore"]


def explore(thing: Any) -> Any:
    """Click through spans: a list, a waterfall and every attribute of the chosen span, in one widget.

    Parameters
    ----------
    thing : Trace, RunResult or TraceDiff
        What to look at.

    Returns
    -------
    Explorer or `thing`
        `thing` itself where nobody can click (papermill and its kind, a terminal).

    Raises
    ------
    TypeError
        It has no spans.
    """
    from IPython.core.getipython import get_ipython

    from clnrm_nb.notebook.session import place

    if place(get_ipython()) != "notebook":
        return thing
    from clnrm_nb.notebook.views.explorer import Explorer

    return Explorer(thing)
