"""The keys of a review (``diff.md`` 8): one table for terminal and notebook, so that hands learn it once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["REVIEW_KEYS", "RULE_KEYS", "RULE_PLACES", "Key", "Place", "keys_of"]

Place = Literal["terminal", "notebook"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Parameters
    ----------
    key : str
        As ``KeyboardEvent.key`` names it, and as a terminal sends it.
    label : str
        What it does, in two words.
    tip : str
        The same in a sentence.
    only : {"terminal", "notebook"}, optional
        The one place that has it: the other has something else to point with.
    """

    key: str
    label: str
    tip: str
    only: Place | None = None

    @property
    def shown(self) -> str:
        """What is printed on the key."""
        return "space" if self.key == " " else self.key


REVIEW_KEYS: Final = (
    Key("a", "Accept", "Make this trace the baseline and go on"),
    Key("g", "Accept cause", "Accept only the chosen cause, everywhere in this trace; or its chosen edit"),
    Key("c", "Choose cause", "Choose the next cause, or the next edit of one that is open", only="terminal"),
    Key("e", "Edits", "Open the chosen cause to accept (g) one of its edits; again: close it"),
    Key("A", "Accept all", "Accept every difference that is pending"),
    Key("r", "Reject", "Refuse this trace: it stays red until the run changes"),
    Key("s", "Skip", "Leave this difference pending and go on"),
    Key("u", "Undo", "Take the last decision back, files byte for byte"),
    Key("p", "Previous", "Look at the previous difference"),
    Key("n", "Next", "Look at the next difference"),
    Key("1", "Old only", "Show the baseline alone"),
    Key("2", "New only", "Show the run alone"),
    Key("3", "Both", "Show baseline and run in one picture"),
    Key(" ", "Page", "Show the next part of a picture that is longer than the terminal", only="terminal"),
    Key("m", "Make rule", "Choose a rule that allows the chosen cause from now on"),
    Key("?", "Help", "Show or hide what the keys do"),
    Key("q", "Quit", "Stop: what is decided is kept, the rest still waits", only="terminal"),
)

RULE_KEYS: Final = (
    Key("1", "Rule 1", "Write the first rule, the narrowest"),
    Key("2", "Rule 2", "Write the second rule"),
    Key("3", "Rule 3", "Write the third rule"),
    Key("f", "Other file", "Write it to the scenario file, or back to baselines/rules.toml"),
    Key("m", "No rule", "Choose none of them"),
)
"""What keys mean while rules are there to choose from."""

RULE_PLACES: Final = {"project": "baselines/rules.toml", "scenario": "the end of the scenario file"}


def keys_of(place: Place) -> dict[str, Key]:
    """The keys of one place, in the order in which they are shown."""
    return {key.key: key for key in REVIEW_KEYS if key.only in (None, place)}
