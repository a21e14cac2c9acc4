"""An IPython start-up file: the first cell of a notebook says which backend answers here."""

from __future__ import annotations

from typing import Any


def _register() -> None:
    """In a function, so that no name of ours is left in the notebook's namespace but this one."""
    from IPython import get_ipython

    events = get_ipython().events

    def show_once(*_: Any) -> None:
        events.unregister("pre_run_cell", show_once)
        from IPython.display import Markdown, display

        from clnrm_nb import api

        if api.guard(backend="docker").passes:
            text = "clnrm_nb: a Docker engine answers; tests really run, isolated."
        else:
            text = (
                "clnrm_nb: no Docker engine answers, so the examples are **replayed** from recordings. "
                "Nothing is started, and claims about isolation are *not evaluated*."
            )
        display(Markdown(f"> {text}"))

    events.register("pre_run_cell", show_once)


_register()
del _register
