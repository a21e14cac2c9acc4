"""The rules a review offers, with what each would have done, and a button for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.api.reviewkeys import RULE_KEYS, RULE_PLACES
from clnrm_nb.report.html import escape, fragment

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.api.reviewqueue import Offered
    from clnrm_nb.baseline.offers import Offer
    from clnrm_nb.notebook.models import Models

__all__ = ["RuleChoice"]


class RuleChoice:
    """A list of rules below the buttons of the review; not there while nothing is offered.

    Parameters
    ----------
    models : Models
        Own what is made here.
    press : callable
        What a button's key does.
    """

    def __init__(self, models: Models, press: Callable[[str], None]) -> None:
        import ipywidgets

        from clnrm_nb.notebook.frontend import TOOLBAR_CLASS

        own = models.own
        self._text = own(ipywidgets.HTML())
        self._buttons: dict[str, Any] = {}
        for key in RULE_KEYS:
            label, tip = f"{key.label} ({key.key})", f"{key.tip} (key {key.key})"
            button = own(ipywidgets.Button(description=label, tooltip=tip))
            button.on_click(lambda _, name=key.key: press(name))
            self._buttons[key.key] = button
        self._bar = own(ipywidgets.HBox(list(self._buttons.values())))
        self._bar.add_class(TOOLBAR_CLASS)
        self.widget = own(ipywidgets.VBox())

    def show(self, offered: Offered | None) -> None:
        """Show these rules; ``None``: none."""
        if offered is None:
            self._text.value = ""
            self.widget.children = ()
            return
        items = "".join(map(_item, offered.offers))
        asked = ""
        if offered.asked:
            asked = (
                f"<div role=alert><b class=bad>Rule {offered.asked} hides what was rejected: "
                f"choose it again to agree.</b></div>"
            )
        place = f"<p>It is written to {escape(RULE_PLACES[offered.place])}.</p>"
        self._text.value = fragment(
            "rules", f"<p>Rules that would allow this cause:</p><ol>{items}</ol>{place}{asked}"
        )
        for key, button in self._buttons.items():
            button.disabled = key.isdigit() and int(key) > len(offered.offers)
        self.widget.children = (self._text, self._bar)


def _item(offer: Offer) -> str:
    first, *rest = offer.sentences()
    below = "".join(f"<br><span class=q>{escape(sentence, 1_000)}</span>" for sentence in rest)
    return f"<li>{escape(first, 1_000)}{below}</li>"
