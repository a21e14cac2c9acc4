"""Where blank lines stand: one before each table, never two together, none at the ends of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.formatter.statements import Line

__all__ = ["laid_out"]

_ATTACHED: Final = frozenset({"comment", "opening"})
"""What may stand between a header and the blank line above it: it belongs to the table."""


def laid_out(lines: Sequence[Line]) -> list[str]:
    """The texts of `lines` with blank lines where they belong."""
    texts: list[str] = []
    kinds: list[str] = []
    for line in lines:
        if line.kind == "blank" and (not kinds or kinds[-1] == "blank"):
            continue
        if line.kind == "header":
            place = len(kinds)
            while place and kinds[place - 1] in _ATTACHED:
                place -= 1
            if place and kinds[place - 1] not in ("blank", "between"):
                kinds.insert(place, "blank")
                texts.insert(place, "")
        texts.append(line.text)
        kinds.append(line.kind)
    return texts
