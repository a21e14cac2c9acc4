"""What a run looks like while it runs, in each place a run can be started from.

In a notebook with a person an ipywidgets panel (or, with ``notebook.widgets`` off, plain HTML in place);
under papermill and its kind one printed line a scenario, as CI logs show those at once; in a terminal the
progress of the command line. Only the engine's loop draws, at most ten times a second, and whatever drawing
raises never reaches the run.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.notebook.livehtml import NEWEST_SPANS, error_bundle, progress_html
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.pace import Pace
from clnrm_nb.notebook.progress import RunProgress
from clnrm_nb.report.text import duration_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from clnrm_nb.api import Event
    from clnrm_nb.api.live import Recent
    from clnrm_nb.notebook.views.growing import GrowingFigure
    from clnrm_nb.report.results import RunResult

__all__ = ["HtmlLive", "LinesLive", "LiveView", "PanelLive", "TerminalLive", "live_view"]

REDRAW_S: Final = 0.25

_MESSAGES_A_SECOND: Final = 9
"""Of drawing; ten are promised (``notebook.md`` 3), and the end of a run takes one."""

_FIGURE_S: Final = 1.0
_FIGURE_AFTER_S: Final = 1.5
_MOST_LINES: Final = 200
_NO_TEXT: Final = {"text/plain": ""}


class LiveView:
    """What all live views have in common: a state, and the end."""

    def __init__(self) -> None:
        self.progress = RunProgress()

    def begin(self, recent: Recent) -> None:
        """The run starts."""

    def __call__(self, event: Event) -> None:
        """Something happened."""
        self.progress.take(event)

    def end(self, result: RunResult | None, error: BaseException | None = None) -> None:
        """The run is over; what was live goes."""

    def replace(self, durable: object | None) -> bool:
        """Put `durable` where the view stood (``None``: nothing); False where there is no such place."""
        del durable
        return False


class LinesLive(LiveView):
    """One printed line a scenario."""

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._say = say or _say
        self._lines = 0

    def __call__(self, event: Event) -> None:
        """See the base."""
        super().__call__(event)
        if event.event == "scenario.end":
            self._line(event.status or "passed", f"{event.test}::{event.scenario}", event.data)
        elif event.event == "test.end" and event.test and not self.progress.tests[event.test].scenarios:
            self._line(event.status or "passed", event.test, event.data)

    def _line(self, status: str, name: str, data: dict[str, Any]) -> None:
        if self._lines >= _MOST_LINES and status in ("passed", "cached", "skipped"):
            return
        self._lines += 1
        self._say(f"{status:11} {one_line(name)}  {duration_text(data.get('duration_ms'))}")
        if self._lines == _MOST_LINES:
            self._say("… only what does not pass from here on")


def _say(text: str) -> None:
    # The loop keeps the cell it was submitted from, so that this lands below the right one.
    print(text, flush=True)  # noqa: T201  # A log line of a run nobody watches.


class TerminalLive(LiveView):
    """The command line's progress."""

    def __init__(self) -> None:
        super().__init__()
        from clnrm_nb.report.progress import LiveProgress

        self._terminal = LiveProgress()
        self._terminal.__enter__()

    def __call__(self, event: Event) -> None:
        """See the base."""
        self._terminal(event)

    def end(self, result: RunResult | None, error: BaseException | None = None) -> None:
        """See the base."""
        del result, error
        self._terminal.__exit__(None, None, None)


class HtmlLive(LiveView):
    """HTML that is redrawn in place, without widgets."""

    def __init__(self, *, is_detached: bool = False) -> None:
        super().__init__()
        self._is_detached = is_detached
        self._recent: Recent | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._handle: Any = self._show()

    def _show(self) -> Any:
        from IPython.display import display

        return display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]  # no annotation

    def _bundle(self) -> dict[str, str]:
        text = self.progress.headline()
        return {"text/plain": text, "text/html": progress_html(self.progress, self._newest())}

    def begin(self, recent: Recent) -> None:
        """See the base."""
        self._recent = recent
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0, self._tick)

    def _newest(self) -> Any:
        newest = self._recent(NEWEST_SPANS) if self._recent and self.progress.spans else None
        return newest if newest is not None and len(newest) else None

    def _tick(self) -> None:
        """Draw, and again a little later: time passes without events too."""
        if self._is_over or self._loop is None:
            return
        self._timer = self._loop.call_later(REDRAW_S, self._tick)
        self._draw()

    def _draw(self) -> None:
        self._handle.update(self._bundle(), raw=True)

    def end(self, result: RunResult | None, error: BaseException | None = None) -> None:
        """See the base; a detached run has no cell to show its result or error, so the view becomes it."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._put_away()
        if self._is_detached and error is not None:
            self._handle.update(error_bundle(error), raw=True)
        else:
            self.replace(result if self._is_detached else None)

    def _put_away(self) -> None:
        """Let go of everything that only lives during the run."""

    def replace(self, durable: object | None) -> bool:
        """See the base."""
        if durable is None:
            self._handle.update(_NO_TEXT, raw=True)
        else:
            self._handle.update(durable)
        return True


class PanelLive(HtmlLive):
    """A widget panel: the state above, a growing waterfall below as soon as plotly is there.

    The figure is imported and made on threads of the loop's executor. A run that ends within a second and a
    half never sends the browser the five megabytes a figure is made of.
    """

    def __init__(self, *, figure_after_s: float = _FIGURE_AFTER_S) -> None:
        self._models = Models()
        self._pace = Pace(_MESSAGES_A_SECOND)
        self._figure: GrowingFigure | None = None
        self._maker: Any = None
        self._is_making = False
        self._figure_after_s = figure_after_s
        self._figure_drawn_s = 0.0
        super().__init__()

    def _show(self) -> Any:
        import ipywidgets
        from IPython.display import display

        own = self._models.own
        from clnrm_nb.notebook.views.style import FIGURE_STYLE

        style = own(ipywidgets.HTML(f"<style>{FIGURE_STYLE}</style>"))
        self._text = own(ipywidgets.HTML(progress_html(self.progress)))
        self._box = own(ipywidgets.VBox([style, self._text]))
        return display(self._box, display_id=True)  # type: ignore[no-untyped-call]  # no annotation

    def begin(self, recent: Recent) -> None:
        """See the base."""
        super().begin(recent)
        assert self._loop is not None
        self._maker = self._loop.run_in_executor(None, _growing_figure)

    def _draw(self) -> None:
        if self._is_making:
            # What a new figure sends, it sends from another thread at a time of its own.
            return
        if self._pace.has_room():
            self._text.value = progress_html(self.progress, self._newest())
            self._pace.spend()
        now_s = self.progress.elapsed_s
        if self._figure is not None:
            self._draw_figure(self._figure, now_s)
        elif now_s >= self._figure_after_s and self.progress.spans and self._maker and self._maker.done():
            self._begin_figure()

    def _draw_figure(self, figure: GrowingFigure, now_s: float) -> None:
        is_due = now_s - self._figure_drawn_s >= _FIGURE_S and self._recent is not None
        if is_due and self._pace.has_room(figure.draw_messages):
            assert self._recent is not None
            self._figure_drawn_s = now_s
            figure.draw(self._recent, self.progress.spans)
            self._pace.spend(figure.draw_messages)

    def _begin_figure(self) -> None:
        """Make the figure elsewhere; take it when it is there."""
        assert self._loop is not None
        kind = self._maker.result()
        if not self._pace.has_room(kind.open_messages):
            return
        self._maker, self._is_making = None, True
        context = contextvars.copy_context()
        making = self._loop.run_in_executor(None, context.run, kind)
        making.add_done_callback(self._take_figure)

    def _take_figure(self, making: asyncio.Future[GrowingFigure]) -> None:
        self._is_making = False
        if making.cancelled() or making.exception() is not None:
            return
        figure = making.result()
        self._models.own(figure.widget)
        if self._is_over:
            self._models.close()
            return
        self._figure, self._figure_drawn_s = figure, self.progress.elapsed_s
        self._box.children = (*self._box.children, figure.widget)
        self._pace.spend(figure.open_messages)

    def _put_away(self) -> None:
        if self._maker is not None:
            # An import that fails has nobody to tell; the run did not need it.
            self._maker.add_done_callback(lambda maker: maker.cancelled() or maker.exception())
        self._figure = None
        self._models.close()


def _growing_figure() -> type[GrowingFigure]:
    from clnrm_nb.notebook.views.growing import GrowingFigure

    return GrowingFigure


def live_view(
    shell: InteractiveShell | None, *, live: bool, widgets: bool, is_detached: bool = False
) -> LiveView | None:
    """The live view for this place; ``None`` where none is wanted.

    Parameters
    ----------
    live, widgets : bool
        ``notebook.live`` and ``notebook.widgets``.
    is_detached : bool
        The cell ends before the run.
    """
    from clnrm_nb.notebook.session import place

    if not live:
        return None
    where = place(shell)
    if where == "headless":
        return LinesLive()
    if where == "terminal":
        return None if is_detached else TerminalLive()
    # A detached run is what one closes the tab on. The saved view of a widget that has ended since is
    # "model not found"; HTML that nobody updates any more still says what ran.
    return PanelLive() if widgets and not is_detached else HtmlLive(is_detached=is_detached)
