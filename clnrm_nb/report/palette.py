"""Colours and hatchings of states in figures, one palette a theme.

Colour comes last: each state also has a sign and a hatching. The five states of a diff stay at CIEDE2000 24
or more from each other with every kind of colour vision (``diff.md`` 12), and every mark at 3:1 or more on
the ground of its theme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DARK", "GROUNDS", "HATCHINGS", "INK", "LIGHT", "palette"]

LIGHT: Final[Mapping[str, str]] = {
    "plain": "#5B8DEF",
    "error": "#D01A00",
    "own": "#737373",
    "same": "#737373",
    "added": "#5B8DEF",
    "missing": "#8A1C07",
    "changed": "#C77700",
    "renamed": "#C77700",
    "moved": "#3A0A52",
}
DARK: Final[Mapping[str, str]] = {
    "plain": "#6CBBFF",
    "error": "#D01A00",
    "own": "#808080",
    "same": "#808080",
    "added": "#6CBBFF",
    "missing": "#D01A00",
    "changed": "#EBD53A",
    "renamed": "#EBD53A",
    "moved": "#A314CC",
}
HATCHINGS: Final[Mapping[str, str]] = {
    "error": "/",
    "missing": "/",
    "added": ".",
    "moved": "|",
    "renamed": "-",
}
"""Shapes of plotly's patterns; states without one are plain."""

GROUNDS: Final = {False: "#ffffff", True: "#111111"}
"""What marks stand on, by whether it is dark."""

INK: Final = {False: "#1f1f1f", True: "#f0f0f0"}
"""Text and outlines, by whether the ground is dark."""


def palette(*, is_dark: bool) -> Mapping[str, str]:
    """Colour of each state on one theme."""
    return DARK if is_dark else LIGHT
