"""The keys of a review (``diff.md`` 8), each with its button: its label, and what it does in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from clnrm_nb.report.html import table

__all__ = ["KEYS", "NO_RULES_YET", "Key", "help_html"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Parameters
    ----------
    key : str
        As ``KeyboardEvent.key`` names it.
    label : str
        On its button.
    tip : str
        What it does.
    style : str
        Of its button, as ipywidgets names them.
    """

    key: str
    label: str
    tip: str
    style: Literal["", "success", "danger"] = ""


KEYS: Final = {
    key.key: key
    for key in (
        Key("a", "Accept", "Make this trace the baseline and go on", "success"),
        Key("g", "Accept cause", "Accept only the chosen cause, everywhere in this trace"),
        Key("A", "Accept all", "Accept every difference that is pending"),
        Key("r", "Reject", "Refuse this trace: it stays red until the run changes", "danger"),
        Key("s", "Skip", "Leave this difference pending and go on"),
        Key("u", "Undo", "Take the last decision back"),
        Key("p", "Previous", "Look at the previous difference"),
        Key("n", "Next", "Look at the next difference"),
        Key("1", "Old only", "Draw the baseline alone"),
        Key("2", "New only", "Draw the run alone"),
        Key("3", "Both", "Draw baseline and run in one picture"),
        Key("m", "Make rule", "Not yet: rules are written into the test file by hand"),
        Key("?", "Help", "Show or hide what the keys do"),
    )
}

NO_RULES_YET: Final = (
    "A review cannot make rules yet: accept or reject the difference, or write the rule into the test file."
)


def help_html() -> str:
    """What every key does, as a list."""
    rows = (
        f"<tr><td><kbd>{key.key}</kbd></td><th scope=row>{key.label}</th><td>{key.tip}</td></tr>"
        for key in KEYS.values()
    )
    more = "In the list of spans <kbd>n</kbd> and <kbd>p</kbd> go from one changed span to the next."
    return f"<div class=clnrm>{table('', ('key', 'button', 'what it does'), rows)}<p class=q>{more}</p></div>"
