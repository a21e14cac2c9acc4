"""The keys of a review as buttons, and the list that explains them."""

from __future__ import annotations

from typing import Final, Literal

from clnrm_nb.api.reviewkeys import keys_of
from clnrm_nb.report.html import table

__all__ = ["BUTTON_STYLES", "KEYS", "help_html"]

KEYS: Final = keys_of("notebook")

BUTTON_STYLES: Final[dict[str, Literal["success", "danger"]]] = {"a": "success", "r": "danger"}
"""Of the two buttons that decide about a whole trace, as ipywidgets names them."""


def help_html() -> str:
    """What every key does, as a list."""
    rows = (
        f"<tr><td><kbd>{key.key}</kbd></td><th scope=row>{key.label}</th><td>{key.tip}</td></tr>"
        for key in KEYS.values()
    )
    more = "In the list of spans <kbd>n</kbd> and <kbd>p</kbd> go from one changed span to the next."
    return f"<div class=clnrm>{table('', ('key', 'button', 'what it does'), rows)}<p class=q>{more}</p></div>"
