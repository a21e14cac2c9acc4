"""What of the difference in view can be decided alone: its open causes, and the edits of one that is opened.

A terminal marks its lines with this, a notebook fills a list with it; what ``g`` and ``m`` are about is the
same in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.report.diffwords import edit_text, place_text

if TYPE_CHECKING:
    from clnrm_nb.report.diffs import Compared

__all__ = ["Choice", "Choices"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A cause or one edit.

    Parameters
    ----------
    id : str
        Of the cause or the edit, as decisions name it.
    text : str
    cause : str
        Id of the cause it is or belongs to. Rules are made of causes.
    """

    id: str
    text: str
    cause: str

    @property
    def is_edit(self) -> bool:
        """Whether it is one edit of the cause that is open."""
        return self.id != self.cause


class Choices:
    """The list, and the entry that is chosen.

    Attributes
    ----------
    entries : tuple of Choice
    place : int
        Of the chosen entry; 0 where there is none.
    """

    def __init__(self) -> None:
        self.entries: tuple[Choice, ...] = ()
        self.place = 0
        self._compared: Compared | None = None
        self._opened = ""

    @property
    def chosen(self) -> Choice | None:
        """The entry that ``g`` accepts."""
        return self.entries[self.place] if self.entries else None

    @property
    def is_open(self) -> bool:
        """Whether a cause shows its edits."""
        return any(entry.is_edit for entry in self.entries)

    def show(self, compared: Compared | None, *, is_another: bool) -> None:
        """List what is still open of a difference; of the one in view already, after a decision.

        Where edits are accepted one after another the next one takes the place of the last.
        """
        self._compared = compared
        chosen = self.chosen
        self._opened = "" if is_another else self._opened
        self.entries = tuple(_choices(compared, self._opened)) if compared is not None else ()
        siblings = [place for place, entry in enumerate(self.entries) if entry.is_edit]
        if not is_another and chosen is not None and chosen.is_edit and siblings:
            self.place = min(self.place, siblings[-1])
        elif is_another or chosen not in self.entries:
            self.place = 0
        else:
            assert chosen is not None
            self.place = self.entries.index(chosen)

    def choose(self, place: int) -> None:
        """Choose an entry."""
        if 0 <= place < len(self.entries):
            self.place = place

    def next(self) -> None:
        """Choose the entry below, after the last one the first."""
        if self.entries:
            self.place = (self.place + 1) % len(self.entries)

    def toggle(self) -> None:
        """Open the chosen cause to its edits; close the one that is open, which is chosen then."""
        chosen = self.chosen
        if chosen is None or self._compared is None:
            return
        cause = self._opened if self.is_open else chosen.cause
        self._opened = "" if self.is_open else chosen.cause
        self.entries = tuple(_choices(self._compared, self._opened))
        self.place = next(place for place, entry in enumerate(self.entries) if entry.id == cause)


def _choices(compared: Compared, opened: str) -> list[Choice]:
    """Causes that are not decided yet, below the opened one its edits."""
    found: list[Choice] = []
    for cause in compared.causes:
        pending = [name for name in cause.edits if compared.reviews.get(name) == "pending"]
        if not pending:
            continue
        found.append(Choice(cause.cause_id, cause.message, cause.cause_id))
        if cause.cause_id == opened:
            edits = (edit for name in pending if (edit := compared.by_id.get(name)))
            found += [
                Choice(edit.edit_id, f"{edit_text(edit)}  {place_text(edit)}", cause.cause_id)
                for edit in edits
            ]
    return found
