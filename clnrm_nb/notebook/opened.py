"""A widget as a value: it shows itself, and when it is closed its saved form stands in its place."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["Opened"]

_PLAIN_FORMS: Final = ("text/html", "text/plain")


class Opened:
    """What explorer, panel and review have in common."""

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def widget(self) -> Any:
        """The outer box."""
        raise NotImplementedError

    def durable(self) -> object:
        """What stays in the notebook."""
        raise NotImplementedError

    def close_models(self) -> None:
        """Close every widget model."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        from IPython.core.formatters import format_display_data
        from IPython.display import display

        # Exports, and readers without widgets, show what an open widget has to say as a page or as text.
        saved, _ = format_display_data(self.durable(), include=_PLAIN_FORMS)  # type: ignore[no-untyped-call]  # no annotation
        shown = {**self.widget._repr_mimebundle_(), **saved}
        self._handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no annotation

    def close(self) -> None:
        """Put the saved form where the widget is shown, and close the widget; again does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.update(self.durable())
        self.close_models()
