"""The review as a widget: the queue at the left, the difference in view beside it, a key for every button.

A thin skin over :class:`~clnrm_nb.api.reviewqueue.ReviewQueue`; nothing here decides or writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.reviewchoices import Choices
from clnrm_nb.api.reviewkeys import RULE_KEYS
from clnrm_nb.api.reviewqueue import ReviewQueue
from clnrm_nb.errors import ClnrmError
from clnrm_nb.notebook.livehtml import told
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.opened import Opened
from clnrm_nb.notebook.review.keys import BUTTON_STYLES, KEYS, help_html
from clnrm_nb.notebook.review.rules import RuleChoice
from clnrm_nb.report.html import escape, fragment
from clnrm_nb.report.text import clipped, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.api import Context
    from clnrm_nb.api.reviewchoices import Choice
    from clnrm_nb.api.reviewing import ReviewDesk
    from clnrm_nb.api.reviewqueue import Item
    from clnrm_nb.notebook.views.explorer import Explorer, Side
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["Review", "open_review"]

_SIGNS: Final = {"pending": "•", "accepted": "✓", "rejected": "✗", "rule": "§", "skipped": "-"}
_DECIDING: Final = ("a", "g", "e", "r", "s", "m")
_INDENT: Final = "\u2003\u2003"
_FEWEST_ROWS: Final = 3
_MOST_ROWS: Final = 10
_SIDES: Final[dict[str, Side]] = {"1": "old", "2": "new", "3": "both"}

_open: list[Review] = []


def open_review(ids: Sequence[str], *, context: Context, has_widgets: bool, **options: Any) -> Any:
    """The review of what is pending; without widgets the list of it, with exit status 1 if there is any."""
    from clnrm_nb.api.reviewing import ReviewDesk, review

    is_list = options.pop("list", False)
    by, message = options.pop("by", None), options.pop("message", None) or ""
    if not has_widgets or is_list:
        return review(ids, context=context)
    while _open:
        _open.pop().close()
    desk = ReviewDesk(context, by=by, message=message)
    waiting = desk.pending(ids)
    if not waiting:
        return review(ids, context=context)
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
        self._choices = Choices()
        self._side: Side = "both"
        self._has_help = False
        self._is_filling = False
        self._acts: dict[str, Callable[[], None]] = {
            "a": self.queue.accept,
            "g": self._accept_choice,
            "e": self._toggle_edits,
            "A": self.queue.accept_all,
            "r": self.queue.reject,
            "s": self.queue.skip,
            "u": self.queue.undo,
            "n": self.queue.next,
            "p": self.queue.previous,
            "m": self._offer_rules,
            "?": self._toggle_help,
        }
        self._box = self._assemble()
        self._refresh()

    @property
    def widget(self) -> Any:
        """See the base."""
        return self._box

    def durable(self) -> object:
        """What still waits."""
        from clnrm_nb.api.reviewing import review

        return review(context=self._context)

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

        from clnrm_nb.notebook.frontend import (
            PANEL_CLASS,
            PANEL_STYLE,
            STATUS_CLASS,
            TOOLBAR_CLASS,
            FrontEnd,
        )

        own = self._models.own
        shortcuts = list(dict.fromkeys([*KEYS, *(key.key for key in RULE_KEYS)]))
        front = own(FrontEnd(shortcuts=shortcuts, label="review of differences", takes_focus=True))
        front.on_key(self.press)
        self._head = own(ipywidgets.HTML())
        self._head.add_class(STATUS_CLASS)
        wide = {"width": "auto", "margin": "2px"}
        self._list = own(ipywidgets.Select(tooltip="differences", layout=wide))
        self._list.observe(self._on_list, "index")
        self._causes = own(ipywidgets.Select(tooltip="causes of this difference", layout=wide))
        self._causes.observe(self._on_cause, "index")
        left = own(ipywidgets.VBox([self._list], layout={"flex": "1 1 45%", "min_width": "0"}))
        right = own(ipywidgets.VBox([self._causes], layout={"flex": "1 1 53%", "min_width": "0"}))
        lists = own(ipywidgets.HBox([left, right]))
        self._buttons = {key: self._button(key) for key in KEYS}
        close = own(
            ipywidgets.Button(description="Close", tooltip="Keep the list of what waits in its place")
        )
        close.on_click(lambda _: self.close())
        buttons = own(ipywidgets.HBox([*self._buttons.values(), close]))
        buttons.add_class(TOOLBAR_CLASS)
        self._note = own(ipywidgets.HTML())
        self._note.add_class(STATUS_CLASS)
        self._rules = RuleChoice(self._models, self.press)
        self._help = own(ipywidgets.HTML())
        self._view = own(ipywidgets.VBox())
        style = own(ipywidgets.HTML(f"<style>{PANEL_STYLE}</style>"))
        parts = [
            style,
            front,
            self._head,
            lists,
            buttons,
            self._note,
            self._rules.widget,
            self._help,
            self._view,
        ]
        box = own(ipywidgets.VBox(parts))
        box.add_class(PANEL_CLASS)
        return box

    def _button(self, name: str) -> Any:
        import ipywidgets

        key = KEYS[name]
        button = self._models.own(
            ipywidgets.Button(
                description=f"{key.label} ({key.key})",
                tooltip=f"{key.tip} (key {key.key})",
                button_style=BUTTON_STYLES.get(name, ""),
            )
        )
        button.on_click(lambda _: self.press(name))
        return button

    # ------------------------------------------------------------------------------------------- the keys

    def press(self, key: str) -> None:
        """What a key or its button does."""
        if self.queue.offered is not None and self._choose(key):
            self._refresh()
        elif key in _SIDES:
            self._show_side(_SIDES[key])
        elif key in self._acts:
            self._acts[key]()
            self._refresh()

    def _accept_choice(self) -> None:
        if self._choices.chosen is not None:
            self.queue.accept_causes([self._choices.chosen.id])

    def _toggle_edits(self) -> None:
        self._choices.toggle()
        self._list_choices()

    def _offer_rules(self) -> None:
        if self._choices.chosen is not None:
            self.queue.offer(self._choices.chosen.cause)

    def _choose(self, key: str) -> bool:
        """Whether a key was about the rules to choose from; any other one lets them go and is what it is."""
        if key.isdigit():
            self.queue.choose(int(key))
        elif key == "f":
            self.queue.turn_place()
        else:
            self.queue.withdraw()
            return key == "m"
        return True

    def _show_side(self, side: Side) -> None:
        self._side = side
        if self._explorer is not None:
            self._explorer.show_side(side)
        self._name_buttons()

    def _toggle_help(self) -> None:
        self._has_help = not self._has_help
        self._help.value = help_html() if self._has_help else ""

    def _on_list(self, change: dict[str, Any]) -> None:
        if not self._is_filling and change["new"] is not None:
            self.queue.go_to(change["new"])
            self._refresh()

    def _on_cause(self, change: dict[str, Any]) -> None:
        if not self._is_filling and change["new"] is not None:
            self._choices.choose(change["new"])
            self._name_buttons()

    # ------------------------------------------------------------------------------------ what is shown

    def _refresh(self) -> None:
        queue = self.queue
        counts = ", ".join(f"{number} {word}" for word, number in queue.counts().items() if number)
        done = " · nothing is pending: run again to see it green" if queue.is_done else ""
        self._head.value = fragment("review", f"<div><b>{escape(counts)}</b>{done}</div>")
        self._note.value = self._problem_html()
        self._rules.show(queue.offered)
        self._is_filling = True
        try:
            self._list.options = [(_label(item), item.id) for item in queue.items]
            self._list.index = queue.index if queue.items else None
        finally:
            self._is_filling = False
        item = queue.current
        for key in _DECIDING:
            self._buttons[key].disabled = item is None or item.state not in ("pending", "skipped")
        self._buttons["A"].disabled = queue.is_done
        self._buttons["u"].disabled = not queue.can_undo
        self._show()
        self._name_buttons()

    def _name_buttons(self) -> None:
        """What a button would do now, and which side is drawn, in words: the screen is not all there is."""
        chosen = self._choices.chosen
        names = {
            "g": "Accept edit" if chosen is not None and chosen.is_edit else KEYS["g"].label,
            "e": "Hide edits" if self._choices.is_open else KEYS["e"].label,
        }
        for key, side in _SIDES.items():
            names[key] = f"✓ {KEYS[key].label}" if side == self._side else KEYS[key].label
        for key, name in names.items():
            self._buttons[key].description = f"{name} ({key})"

    def _problem_html(self) -> str:
        problem = self.queue.problem
        if problem is None:
            return ""
        sentence, hint = told(problem)
        below = f"<br>{escape(hint, 1_000)}" if hint else ""
        text = f"<div role=alert><b class=bad>{escape(sentence, 1_000)}</b>{below}</div>"
        return fragment("problem", text)

    def _show(self) -> None:
        """The current difference; the same figure stays while the same one is in view."""
        item = self.queue.current
        now = None if item is None else (self.queue.index, len(item.taken))
        if item is None or now == self._explored:
            return
        is_another = self._explored is None or self._explored[0] != self.queue.index
        self._explored = now
        try:
            diff = self._desk.compared(item.id)
        except ClnrmError as error:
            self._choices.show(None, is_another=is_another)
            self._list_choices()
            self._say(". ".join(filter(None, told(error))))
            return
        (part,) = diff.comparisons
        self._choices.show(part, is_another=is_another)
        self._list_choices()
        if len(diff.layout):
            self._show_spans(diff)
        else:
            reason = "; ".join(str(finding["message"]) for finding in diff.raw["diagnostics"])
            self._say(f"{reason or 'nothing to compare'}. Accepting makes the latest trace the baseline.")

    def _show_spans(self, diff: TraceDiff) -> None:
        """In the one explorer there is: making another for each difference would send a figure for each."""
        if self._explorer is None:
            from clnrm_nb.notebook.views.explorer import Explorer

            self._explorer = Explorer(diff, has_close=False, side=self._side)
        else:
            self._explorer.show(diff)
        self._view.children = (self._explorer.widget,)

    def _list_choices(self) -> None:
        """The causes that are still open, below the one that is opened its edits."""
        entries = self._choices.entries
        rows = min(max(len(self._ids), len(entries), _FEWEST_ROWS), _MOST_ROWS)
        self._list.rows = self._causes.rows = rows
        self._is_filling = True
        try:
            # By place: two entries may read alike.
            self._causes.options = [(_choice_label(entry), place) for place, entry in enumerate(entries)]
            self._causes.index = self._choices.place if entries else None
        finally:
            self._is_filling = False

    def _say(self, text: str) -> None:
        import ipywidgets

        note = ipywidgets.HTML(fragment("difference", f"<p>{escape(text, 1_000)}</p>"))
        self._view.children = (self._models.own(note),)


def _label(item: Item) -> str:
    part = f" ({len(item.taken)} accepted in part)" if item.taken and item.state == "pending" else ""
    # What tells entries apart comes first: a narrow list cuts the end.
    test_id, _, scenario = item.id.partition("::")
    name = f"{scenario} · {test_id}" if scenario else test_id
    return f"{_SIGNS[item.state]} {item.state}{part}: {clipped(one_line(name), 90)}"


def _choice_label(entry: Choice) -> str:
    return f"{_INDENT if entry.is_edit else ''}{clipped(one_line(entry.text), 100)}"
