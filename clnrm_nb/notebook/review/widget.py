"""The review as a widget: the queue at the left, the difference in view beside it, a key for every button.

A thin skin over :class:`~clnrm_nb.notebook.review.queue.ReviewQueue`; nothing here decides or writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.opened import Opened
from clnrm_nb.notebook.review.queue import ReviewQueue
from clnrm_nb.report.html import STYLE, escape, fragment
from clnrm_nb.report.text import clipped, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.api import Context
    from clnrm_nb.api.reviewing import ReviewDesk
    from clnrm_nb.notebook.review.queue import Item
    from clnrm_nb.notebook.views.explorer import Explorer

__all__ = ["Review", "open_review"]

KEYS: Final = {
    "a": "Accept",
    "g": "Accept cause",
    "r": "Reject",
    "s": "Skip",
    "u": "Undo",
    "n": "Next",
    "p": "Previous",
}
_SIGNS: Final = {"pending": "•", "accepted": "✓", "rejected": "✗", "skipped": "-"}
_STYLE: Final = f"""<style>{STYLE}
.clnrm-panel :focus-visible{{outline:2px solid var(--jp-brand-color1,#5b8def)!important}}
.clnrm-panel select{{font-family:var(--jp-code-font-family,monospace);font-size:12px}}
</style>"""

_open: list[Review] = []


def open_review(ids: Sequence[str], *, context: Context, has_widgets: bool, **options: Any) -> Any:
    """The review of what is pending; without widgets the list of it, with exit status 1 if there is any."""
    from clnrm_nb.api.reviewing import ReviewDesk, pending_list

    is_list = options.pop("list", False)
    by, message = options.pop("by", None), options.pop("message", None) or ""
    if not has_widgets or is_list:
        return pending_list(ids, context=context)
    while _open:
        _open.pop().close()
    desk = ReviewDesk(context, by=by, message=message)
    waiting = desk.pending(ids)
    if not waiting:
        return pending_list(ids, context=context)
    shown = Review(desk, waiting, context=context)
    _open.append(shown)
    return shown


class Review(Opened):
    """The widget.

    Parameters
    ----------
    desk : ReviewDesk
    ids : sequence of str
        What waits.
    context : Context

    Attributes
    ----------
    queue : ReviewQueue
    """

    def __init__(self, desk: ReviewDesk, ids: Sequence[str], *, context: Context) -> None:
        super().__init__()
        self._desk = desk
        self._ids = list(ids)
        self._context = context
        self.queue = ReviewQueue(ids, desk)
        self._models = Models()
        self._explorer: Explorer | None = None
        self._explored: tuple[int, int] | None = None
        self._is_filling = False
        self._box = self._assemble()
        self._refresh()

    @property
    def widget(self) -> Any:
        """See the base."""
        return self._box

    def durable(self) -> object:
        """What still waits."""
        from clnrm_nb.api.reviewing import pending_list

        return pending_list(context=self._context)

    def close_models(self) -> None:
        """See the base."""
        if self._explorer is not None:
            self._explorer.close_models()
            self._explorer = None
        self._models.close()
        if self in _open:
            _open.remove(self)

    def _assemble(self) -> Any:
        import ipywidgets

        from clnrm_nb.notebook.frontend import PANEL_CLASS, FrontEnd

        own = self._models.own
        front = own(FrontEnd(shortcuts=list(KEYS), label="review of differences", takes_focus=True))
        front.on_key(self.press)
        self._head = own(ipywidgets.HTML())
        self._list = own(ipywidgets.Select(rows=min(max(len(self._ids), 3), 10), layout={"width": "98%"}))
        self._list.observe(self._on_list, "index")
        self._causes = own(ipywidgets.Select(rows=4, layout={"width": "98%"}))
        self._problem = own(ipywidgets.HTML())
        self._buttons = {key: self._button(key, label) for key, label in KEYS.items()}
        close = own(
            ipywidgets.Button(description="Close", tooltip="Keep the list of what waits in its place")
        )
        close.on_click(lambda _: self.close())
        buttons = own(ipywidgets.HBox([*self._buttons.values(), close], layout={"flex_flow": "row wrap"}))
        left = own(ipywidgets.VBox([self._list], layout={"flex": "1 1 45%", "min_width": "0"}))
        right = own(ipywidgets.VBox([self._causes], layout={"flex": "1 1 53%", "min_width": "0"}))
        lists = own(ipywidgets.HBox([left, right]))
        self._view = own(ipywidgets.VBox())
        style = own(ipywidgets.HTML(_STYLE))
        parts = [style, front, self._head, lists, buttons, self._problem, self._view]
        box = own(ipywidgets.VBox(parts))
        box.add_class(PANEL_CLASS)
        return box

    def _button(self, key: str, label: str) -> Any:
        import ipywidgets

        style = {"a": "success", "r": "danger"}.get(key, "")
        button = self._models.own(
            ipywidgets.Button(
                description=f"{label} ({key})", tooltip=f"{label}: key {key}", button_style=style
            )
        )
        button.on_click(lambda _: self.press(key))
        return button

    def press(self, key: str) -> None:
        """What a key or its button does."""
        acts: dict[str, Callable[[], None]] = {
            "a": self.queue.accept,
            "g": self._accept_cause,
            "r": self.queue.reject,
            "s": self.queue.skip,
            "u": self.queue.undo,
            "n": self.queue.next,
            "p": self.queue.previous,
        }
        if key in acts:
            acts[key]()
            self._refresh()

    def _accept_cause(self) -> None:
        cause = self._causes.value
        if cause is not None:
            self.queue.accept_causes([cause])

    def _on_list(self, change: dict[str, Any]) -> None:
        if not self._is_filling and change["new"] is not None:
            self.queue.go_to(change["new"])
            self._refresh()

    def _refresh(self) -> None:
        queue = self.queue
        counts = ", ".join(f"{number} {word}" for word, number in queue.counts().items() if number)
        done = " · nothing is pending: run again to see it green" if queue.is_done else ""
        self._head.value = fragment("review", f"<div role=status><b>{escape(counts)}</b>{done}</div>")
        self._problem.value = self._problem_html()
        self._is_filling = True
        try:
            self._list.options = [(_label(item), item.id) for item in queue.items]
            self._list.index = queue.index if queue.items else None
        finally:
            self._is_filling = False
        item = queue.current
        is_open = item is not None and item.state in ("pending", "skipped")
        for key in "ags" + "r":
            self._buttons[key].disabled = not is_open
        self._buttons["u"].disabled = not queue.can_undo
        self._show()

    def _problem_html(self) -> str:
        problem = self.queue.problem
        if problem is None:
            return ""
        hint = f"<br>{escape(str(problem.hint))}" if getattr(problem, "hint", None) else ""
        return fragment(
            "problem", f"<div role=alert><b class=bad>{escape(str(problem), 1_000)}</b>{hint}</div>"
        )

    def _show(self) -> None:
        """The current difference; the same figure stays while the same one is in view."""
        item = self.queue.current
        now = None if item is None else (self.queue.index, len(item.taken))
        if now == self._explored:
            return
        self._explored = now
        if self._explorer is not None:
            self._explorer.close_models()
            self._explorer = None
        self._view.children = ()
        self._causes.options = ()
        if item is None:
            return
        try:
            diff = self._desk.compared(item.id)
        except ClnrmError as error:
            self._say(f"{type(error).__name__}: {error}")
            return
        compared = diff.comparisons[0]
        causes = [] if compared.diff is None else [c for c in compared.diff.causes if c.counted]
        causes = [c for c in causes if any(compared.reviews.get(edit) == "pending" for edit in c.edits)]
        self._causes.options = [(clipped(one_line(c.message), 100), c.cause_id) for c in causes]
        self._causes.index = 0 if causes else None
        if len(diff.layout):
            from clnrm_nb.notebook.views.explorer import Explorer

            self._explorer = Explorer(diff, has_close=False)
            self._view.children = (self._explorer.widget,)
        else:
            reason = "; ".join(str(finding["message"]) for finding in diff.raw["diagnostics"])
            self._say(f"{reason or 'nothing to compare'}. Accepting makes the latest trace the baseline.")

    def _say(self, text: str) -> None:
        import ipywidgets

        note = ipywidgets.HTML(fragment("difference", f"<p>{escape(text, 1_000)}</p>"))
        self._view.children = (self._models.own(note),)


def _label(item: Item) -> str:
    part = f" ({len(item.taken)} accepted in part)" if item.taken and item.state == "pending" else ""
    return f"{_SIGNS[item.state]} {clipped(one_line(item.id), 70)}: {item.state}{part}"
