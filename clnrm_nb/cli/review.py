"""``clnrm review`` at a terminal: one difference in view, a key for each decision.

A thin skin over :class:`~clnrm_nb.api.reviewqueue.ReviewQueue`, as the widget of notebooks is; nothing here
decides or writes.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from clnrm_nb.api.reviewchoices import Choices
from clnrm_nb.api.reviewing import ReviewDesk
from clnrm_nb.api.reviewkeys import RULE_KEYS, RULE_PLACES, keys_of
from clnrm_nb.api.reviewqueue import ReviewQueue
from clnrm_nb.cli.keyboard import ESCAPE, INTERRUPT, QUIT, keyboard
from clnrm_nb.errors import ClnrmError
from clnrm_nb.report.render import render_report, wants_color
from clnrm_nb.report.spanviews import SpanList
from clnrm_nb.report.text import one_line, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.api import Context
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["TerminalReview", "review", "wants_review"]

_KEYS: Final = keys_of("terminal")
_SIDES: Final = ("1", "2", "3")
_BOTH_SIDES: Final = "3"
_OTHER_FILE: Final = "f"
_OTHER_LINES: Final = 3
"""Lines beside the picture, causes, problem and keys: the header, what is left out, and the cursor's."""
_MOST_CAUSES: Final = 8
_FEWEST_LINES: Final = 8


def wants_review(context: Context, options: Mapping[str, Any]) -> bool:
    """Whether there is somebody to decide: a terminal at both ends, and neither ``--ci`` nor ``--list``."""
    is_for_people = context.settings.cli.output_format == "human"
    is_asked = is_for_people and not context.ci and not options.get("list")
    return is_asked and sys.stdin.isatty() and sys.stdout.isatty()


def review(ids: Sequence[str], context: Context, *, by: str | None = None, message: str | None = None) -> int:
    """Decide what waits, by key; the exit status: 1 while anything still waits.

    Raises
    ------
    UsageError
        Nothing that waits is called like one of `ids`.
    """
    desk = ReviewDesk(context, by=by, message=message or "")
    waiting = desk.pending(ids)
    if not waiting:
        click.echo("Nothing waits for a decision.")
        return 0
    with keyboard() as read_key:
        return TerminalReview(desk, waiting, context, read_key=read_key).run()


class TerminalReview:
    """The loop of one review: draw, read a key, do what it says.

    Parameters
    ----------
    desk : ReviewDesk
    ids : sequence of str
        What waits.
    context : Context
    read_key : callable
        Gives the next key pressed; ``""`` at the end of input.
    """

    def __init__(
        self,
        desk: ReviewDesk,
        ids: Sequence[str],
        context: Context,
        *,
        read_key: Callable[[], str],
    ) -> None:
        self._desk = desk
        self._read_key = read_key
        self._emoji = context.settings.output.emoji
        self._color = wants_color(context.settings.output.color, sys.stdout)
        self.queue = ReviewQueue(ids, desk)
        self._choices = Choices()
        self._side = _BOTH_SIDES
        self._drawn: int | None = None
        self._top = 0
        self._page = _FEWEST_LINES
        self._has_help = False
        self._acts: dict[str, Callable[[], None]] = {
            "a": self.queue.accept,
            "g": self._accept_choice,
            "c": self._choices.next,
            "e": self._choices.toggle,
            "A": self.queue.accept_all,
            "r": self.queue.reject,
            "s": self.queue.skip,
            "u": self.queue.undo,
            "n": self.queue.next,
            "p": self.queue.previous,
            " ": self._turn_page,
            "m": self._offer_rules,
            "?": self._toggle_help,
        }

    @property
    def keys(self) -> set[str]:
        """Keys that do something."""
        return {*self._acts, *_SIDES, QUIT[0]}

    def run(self) -> int:
        """Until everything is decided or the person stops; 1 while anything still waits.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C; what was decided before is kept.
        """
        while True:
            self._draw()
            key = self._read_key()
            if key == INTERRUPT:
                raise KeyboardInterrupt
            if self.queue.offered is not None and self._choose(key):
                continue
            if key in QUIT:
                break
            self._press(key)
        counts = self.queue.counts()
        click.echo(", ".join(f"{number} {word}" for word, number in counts.items() if number))
        waits = counts["pending"] + counts["skipped"]
        if waits:
            click.echo("Differences still wait: `clnrm review` goes on with them.")
        return 1 if waits else 0

    def _press(self, key: str) -> None:
        if key in _SIDES:
            self._side, self._top = key, 0
        elif key in self._acts:
            self._acts[key]()

    def _accept_choice(self) -> None:
        if self._choices.chosen is not None:
            self.queue.accept_causes([self._choices.chosen.id])

    def _offer_rules(self) -> None:
        if self._choices.chosen is not None:
            self.queue.offer(self._choices.chosen.cause)

    def _choose(self, key: str) -> bool:
        """Whether a key was about the rules to choose from; any other one lets them go and is what it is."""
        if key.isdigit():
            self.queue.choose(int(key))
        elif key == _OTHER_FILE:
            self.queue.turn_place()
        else:
            self.queue.withdraw()
            return key in (ESCAPE, "m")
        return True

    def _turn_page(self) -> None:
        self._top += self._page

    def _toggle_help(self) -> None:
        self._has_help = not self._has_help

    # ------------------------------------------------------------------------------------ what is shown

    def _draw(self) -> None:
        item = self.queue.current
        assert item is not None
        size = shutil.get_terminal_size((100, 24))
        is_another, self._drawn = self._drawn != self.queue.index, self.queue.index
        if is_another:
            self._side, self._top = _BOTH_SIDES, 0
        click.clear()
        done = "  Nothing is pending: q ends." if self.queue.is_done else ""
        click.secho(
            f"{self.queue.index + 1} of {len(self.queue.items)}  {one_line(item.id)}  {item.state}{done}",
            bold=True,
        )
        try:
            compared = self._desk.compared(item.id)
        except ClnrmError as error:
            self._choices.show(None, is_another=is_another)
            picture, causes = [one_line(str(error))], []
        else:
            (part,) = compared.comparisons
            self._choices.show(part, is_another=is_another)
            causes = self._offer_lines(size.columns) or self._cause_lines()
            picture = self._picture(compared, size.columns)
        problem, keys = self._problem_lines(size.columns), self._key_lines(size.columns)
        others = _OTHER_LINES + len(causes) + len(problem) + len(keys)
        for line in [*self._part(picture, max(size.lines - others, _FEWEST_LINES)), *causes]:
            click.echo(line, color=self._color)
        for line in problem:
            click.secho(line, fg="red" if self._color else None)
        click.echo("\n".join(keys))

    def _part(self, picture: list[str], most: int) -> list[str]:
        """As much of a picture as there is room for; after its end comes its start again."""
        self._page = most
        if self._top >= len(picture):
            self._top = 0
        part = picture[self._top : self._top + most]
        if len(part) == len(picture):
            return part
        first, last = self._top + 1, self._top + len(part)
        return [*part, f"… lines {first} to {last} of {len(picture)}, space shows others"]

    def _picture(self, compared: TraceDiff, width: int) -> list[str]:
        (part,) = compared.comparisons

        def drawn(shown: TraceDiff | SpanList) -> list[str]:
            emoji = self._emoji
            return render_report(shown, "human", color=self._color, emoji=emoji, width=width).splitlines()

        sides = {"1": ("the baseline", part.baseline), "2": ("the run", part.current)}

        def alone(side: str) -> list[str]:
            title, table = sides[side]
            if table is None:
                return [f"{title}: there is none"]
            return [f"{title}:", *drawn(SpanList(table, attributes=True, events=True))]

        if self._side != _BOTH_SIDES:
            return alone(self._side)
        # What has nothing to be held against is looked at by itself.
        return drawn(compared) if part.diff is not None else [*drawn(compared), "", *alone("2")]

    def _cause_lines(self) -> list[str]:
        entries, marked = self._choices.entries, self._choices.place
        first = max(0, min(marked - _MOST_CAUSES // 2, len(entries) - _MOST_CAUSES))
        lines = [
            f"{'>' if place == marked else ' '} {'  ' if entry.is_edit else ''}{one_line(entry.text)}"
            for place, entry in enumerate(entries[first : first + _MOST_CAUSES], first)
        ]
        left = len(entries) - len(lines)
        return ["", "causes:", *lines, *([f"  … {left} more"] if left else [])] if lines else []

    def _offer_lines(self, width: int) -> list[str]:
        """The rules to choose from, each with what it would have done."""
        offered, chosen = self.queue.offered, self._choices.chosen
        if offered is None or chosen is None:
            return []
        lines = ["", f"rules for: {one_line(chosen.text)}"]
        for number, offer in enumerate(offered.offers, 1):
            for place, sentence in enumerate(offer.sentences()):
                start = f"{number}  " if not place else "     "
                lines += wrapped(start + one_line(sentence), width)
        lines.append(f"It is written to {RULE_PLACES[offered.place]}.")
        if offered.asked:
            lines.append(
                f"Rule {offered.asked} hides what was rejected: press {offered.asked} again to agree."
            )
        return lines

    def _problem_lines(self, width: int) -> list[str]:
        problem = self.queue.problem
        return wrapped(f"error: {one_line(str(problem))}", width) if problem is not None else []

    def _key_lines(self, width: int) -> list[str]:
        keys = RULE_KEYS if self.queue.offered is not None else tuple(_KEYS.values())
        if self._has_help and keys is not RULE_KEYS:
            return [f"  {key.shown}  {key.label.lower()}: {key.tip}" for key in keys]
        lines = [""]
        for key in keys:
            entry = f"{key.shown} {key.label.lower()}"
            longer = f"{lines[-1]}  {entry}" if lines[-1] else entry
            lines[-1:] = [longer] if len(longer) < width else [lines[-1], entry]
        return lines
