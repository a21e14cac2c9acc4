"""Widget models that are ours, and that all go when their view ends.

A FigureWidget keeps 5 MB of script in its model, which whoever saves the notebook saves with it, even after
the model was closed (measured, ``nbclient``); an empty script in its place leaves nothing to save.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from ipywidgets import Widget

__all__ = ["EMPTY_MODULE", "Models"]

W = TypeVar("W")

EMPTY_MODULE: Final = "export default {}"


class Models:
    """A group of widgets with one end."""

    def __init__(self) -> None:
        self._widgets: list[Any] = []

    def own(self, widget: W) -> W:
        """Close `widget` with this group; returns it."""
        self._widgets.append(widget)
        return widget

    def close(self) -> None:
        """Close all of them, with their layouts and styles; again does nothing."""
        widgets, self._widgets = self._widgets, []
        for widget in reversed(widgets):
            close(widget)


def close(widget: Widget) -> None:
    """Close one widget with its layout and style; a figure's script goes first."""
    from ipywidgets import Widget

    parts = [getattr(widget, name, None) for name in ("layout", "style")]
    if hasattr(widget, "_esm"):
        widget._esm = EMPTY_MODULE  # noqa: SLF001  # The only way to take the script out of the model.
    widget.close()
    for part in parts:
        # Plotly's `layout` is no widget.
        if isinstance(part, Widget):
            part.close()
