"""``%clnrm panel``: choose a test, fill in its variables, render, validate and run it with a click.

A thin skin over :mod:`clnrm_nb.notebook.form` and the functions of :mod:`clnrm_nb.api`. Runs are detached, so
that the buttons answer while one goes on; every button says which command does the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import ClnrmError
from clnrm_nb.notebook.form import FieldError, Form, words_of
from clnrm_nb.notebook.live import HtmlLive
from clnrm_nb.notebook.livehtml import progress_html, told
from clnrm_nb.notebook.models import Models
from clnrm_nb.notebook.opened import Opened
from clnrm_nb.report.html import escape, fragment
from clnrm_nb.report.text import value_text
from clnrm_nb.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.api import Context, Run
    from clnrm_nb.api.panels import PanelTest, PanelVariable
    from clnrm_nb.commands.tree import Call
    from clnrm_nb.notebook.views.explorer import Explorer

__all__ = ["Panel", "open_panel"]

_STYLE: Final = """
.clnrm-panel .clnrm-results{border-left:1px solid var(--jp-border-color2,#8884);padding-left:10px}
.clnrm-panel .clnrm-results .clnrm tbody th{min-width:9em;overflow-wrap:anywhere}
.clnrm-panel .clnrm-results .clnrm td>code{min-width:0;overflow-wrap:break-word}
"""

_NO_RESULTS: Final = {"flex": "1 1 56%", "min_width": "0", "display": "none"}

_open: list[Panel] = []


def open_panel(call: Call, options: dict[str, Any], *, context: Context, has_widgets: bool) -> Any:
    """The panel for the paths of a command line; without widgets the list of tests and variables.

    A second panel takes the place of the first, which becomes its saved form.
    """
    from clnrm_nb.api.panels import panel

    paths = call.arguments[0] if call.arguments else "."
    if not has_widgets:
        return panel(paths, context=context, **options)
    while _open:
        _open.pop().close()
    shown = Panel(paths, context=context, words=words_of(call), options=options)
    _open.append(shown)
    return shown


class Panel(Opened):
    """The widget.

    Parameters
    ----------
    paths
        As of ``run``.
    context : Context
    words : list of str
        Flags of the command line, for the commands that are shown.
    options : dict
        The same as options of the functions.
    """

    def __init__(
        self, paths: Any, *, context: Context, words: list[str] | None = None, options: dict[str, Any]
    ) -> None:
        super().__init__()
        from clnrm_nb.api.panels import panel_tests

        self._paths = paths
        self._context = context
        self._words = words or []
        self._options = options
        self._tests = panel_tests(paths, context=context, **_copied(options))
        self._form: Form | None = None
        self._run: Run | None = None
        self._result: Any = None
        self._explorer: Explorer | None = None
        self._models = Models()
        self._fields = Models()
        self._box = self._assemble()
        self._choose(0)

    @property
    def widget(self) -> Any:
        """See the base."""
        return self._box

    def _assemble(self) -> Any:
        import ipywidgets

        from clnrm_nb.notebook.frontend import PANEL_CLASS, PANEL_STYLE, TOOLBAR_CLASS, FrontEnd

        own = self._models.own
        names = [(f"{test.test_id}{_outcome(test)}", number) for number, test in enumerate(self._tests)]
        self._choice = own(
            ipywidgets.Dropdown(
                options=names, description="Test", layout={"width": "98%"}, disabled=not names
            )
        )
        self._choice.observe(lambda change: self._choose(change["new"]), "value")
        self._inputs = own(ipywidgets.VBox())
        self._command = own(ipywidgets.HTML())
        self._problem = own(ipywidgets.HTML())
        self._buttons = {
            name: self._button(label, tip, act, style)
            for name, label, tip, act, style in (
                ("render", "Render", "Show the rendered text", self._render, ""),
                ("validate", "Validate", "Report everything that is wrong", self._validate, ""),
                ("run", "Run", "Run the test", self.run, "primary"),
                ("cancel", "Cancel", "Stop the run", self.cancel, ""),
                ("explore", "Explore spans", "Click through the spans of the run", self._explore, ""),
                ("close", "Close", "Keep the saved form in its place", self.close, ""),
            )
        }
        buttons = own(ipywidgets.HBox(list(self._buttons.values())))
        buttons.add_class(TOOLBAR_CLASS)
        left = own(
            ipywidgets.VBox(
                [self._choice, self._inputs, self._problem, buttons, self._command],
                layout={"flex": "1 1 42%", "min_width": "0"},
            )
        )
        self._output = own(ipywidgets.HTML(layout={"max_height": "640px", "overflow": "auto"}))
        self._right = own(ipywidgets.VBox([self._output], layout=_NO_RESULTS))
        self._right.add_class("clnrm-results")
        body = own(ipywidgets.HBox([left, self._right]))
        self._below = own(ipywidgets.VBox())
        style = own(ipywidgets.HTML(f"<style>{PANEL_STYLE}{_STYLE}</style>"))
        # Keeps the notebook's own shortcuts out of the panel.
        front = own(FrontEnd(label="scenario panel"))
        box = own(ipywidgets.VBox([front, style, body, self._below]))
        box.add_class(PANEL_CLASS)
        return box

    def _button(self, label: str, tip: str, act: Callable[[], None], style: str) -> Any:
        import ipywidgets

        button = self._models.own(ipywidgets.Button(description=label, tooltip=tip, button_style=style))
        button.on_click(lambda _: self._guarded(act))
        return button

    def _guarded(self, act: Callable[[], None]) -> None:
        """Errors stand where results stand: what a button's handler raises, nobody would see."""
        try:
            act()
        except ClnrmError as error:
            self._say_error(error)

    def _say_error(self, error: BaseException) -> None:
        sentence, hint = told(error)
        below = f"<p>{escape(hint, 1_000)}</p>" if hint else ""
        found = getattr(error, "diagnostics", ()) or ()
        listed = "".join(f"<li>{escape(str(one))}</li>" for one in list(found)[:50])
        text = f"<h4>{escape(sentence, 2_000)}</h4>{below}" + (f"<ul>{listed}</ul>" if listed else "")
        self._show(f"<div role=alert>{text}</div>", "error")

    def _show(self, content: str, label: str) -> None:
        self._output.value = fragment(label, content)
        self._make_room()

    def _make_room(self) -> None:
        """The form has the whole width until there is something to show beside it."""
        self._right.layout.display = None

    # ------------------------------------------------------------------------------------------- the form

    def _choose(self, number: int | None) -> None:
        """Another test: another form."""
        if number is None or not self._tests:
            self._form = None
            self._show("<p>No test was found there. <code>%clnrm init</code> lays one down.</p>", "results")
            self._enable()
            return
        test = self._tests[number]
        self._form = Form(test, self._words)
        old, self._fields = self._fields, Models()
        self._inputs.children = self._field_rows(test)
        old.close()
        self._problem.value = ""
        self._refresh()

    def _field_rows(self, test: PanelTest) -> tuple[Any, ...]:
        import ipywidgets

        own = self._fields.own
        rows = [self._field(variable) for variable in test.variables if variable.is_own]
        standard = [self._field(variable) for variable in test.variables if not variable.is_own]
        if standard:
            folded = own(ipywidgets.Accordion([own(ipywidgets.VBox(standard))], selected_index=None))
            folded.set_title(0, f"{len(standard)} standard variables")
            rows.append(folded)
        return tuple(rows)

    def _field(self, variable: PanelVariable) -> Any:
        import ipywidgets

        own = self._fields.own
        shared = {
            "description": variable.name,
            "tooltip": f"{variable.name}: {variable.kind}, from {variable.origin}",
            "style": {"description_width": "9em"},
            "layout": {"flex": "1 1 260px"},
        }
        if variable.is_secret:
            entry = ipywidgets.Password(placeholder=MASK if variable.value else "", **shared)
        elif variable.kind == "boolean":
            entry = ipywidgets.Checkbox(value=variable.value, indent=True, **shared)
        else:
            entry = ipywidgets.Text(value=value_text(variable.value), continuous_update=False, **shared)
        own(entry)
        entry.observe(lambda change: self._put(variable, change["new"]), "value")
        default = MASK if variable.is_secret else escape(value_text(variable.value), 40)
        words = f"{variable.kind} · {default} · {escape(variable.origin)}"
        note = f"<span class=clnrm><span class=q>{words}</span></span>"
        beside = own(ipywidgets.HTML(note, layout={"flex": "1 1 130px"}))
        return own(ipywidgets.HBox([entry, beside], layout={"flex_flow": "row wrap"}))

    def _put(self, variable: PanelVariable, typed: object) -> None:
        assert self._form is not None
        try:
            self._form.put(variable, typed)
        except FieldError as error:
            self._problem.value = f"<div class=clnrm role=alert><b class=bad>{escape(str(error))}</b></div>"
            return
        self._problem.value = ""
        self._refresh()

    def _refresh(self) -> None:
        """The commands that do the same, and which buttons work."""
        if self._form is not None:
            lines = "\n".join(
                escape(self._form.command(name), 2_000) for name in ("render", "validate", "run")
            )
            self._command.value = f"<div class=clnrm>the same as<pre>{lines}</pre></div>"
        self._enable()

    def _enable(self) -> None:
        is_running = self._run is not None
        has_test = self._form is not None
        for name in ("render", "validate", "run"):
            self._buttons[name].disabled = not has_test or (is_running and name == "run")
        self._buttons["cancel"].disabled = not is_running
        self._buttons["explore"].disabled = self._result is None or not len(self._result.spans)

    # ----------------------------------------------------------------------------------------- the buttons

    def _arguments(self) -> tuple[Any, dict[str, Any]]:
        assert self._form is not None
        options = _copied(self._options)
        options["vars"] = {**dict(options.get("vars") or {}), **self._form.changed}
        return self._form.test, options

    def _render(self) -> None:
        from clnrm_nb import api

        test, options = self._arguments()
        kept = {key: options[key] for key in _TEMPLATE_OPTIONS if key in options}
        rendered = api.render(test.path, context=self._context, matrix=dict(test.matrix), **kept)
        self._result = None
        self._show(rendered.html(), "rendered template")
        self._enable()

    def _validate(self) -> None:
        from clnrm_nb import api

        test, options = self._arguments()
        kept = {key: options[key] for key in _TEMPLATE_OPTIONS if key in options}
        only = [test.test_id] if test.matrix else []
        found = api.validate(test.path, context=self._context, only=only, **kept)
        self._result = None
        self._show(found.html(), "findings")
        self._enable()

    def run(self) -> None:
        """Run the chosen test; again while it runs does nothing."""
        if self._form is None or self._run is not None:
            return
        from clnrm_nb.api.live import run_watched

        test, options = self._arguments()
        only = {"only": [test.test_id]} if test.matrix else {}
        self._result = None
        self._close_explorer()
        self._make_room()
        live = _EmbeddedLive(self._output, self._ended)
        run = run_watched(test.path, watcher=live, detach=True, context=self._context, **{**options, **only})
        self._run = run  # type: ignore[assignment]  # detached
        self._enable()

    def _ended(self) -> None:
        """On the engine's loop, when the pipeline has said its last word."""
        run = self._run
        if run is None:
            # The run was over before `run_watched` had returned.
            asyncio.get_running_loop().call_later(0.02, self._ended)
            return
        waiting = asyncio.get_running_loop().run_in_executor(None, run.wait)
        waiting.add_done_callback(self._take_result)

    def _take_result(self, waiting: asyncio.Future[Any]) -> None:
        self._run = None
        error = None if waiting.cancelled() else waiting.exception()
        if waiting.cancelled() or error is not None:
            self._say_error(error or ClnrmError("the run was cancelled"))
        else:
            self._result = waiting.result()
            self._show(self._result.html(), "result of a run")
        self._enable()

    def cancel(self) -> None:
        """Stop the run."""
        if self._run is not None:
            self._run.cancel()

    def _explore(self) -> None:
        self._show_busy()
        from clnrm_nb.notebook.views.explorer import Explorer

        self._close_explorer()
        self._explorer = Explorer(self._result, on_close=self._close_explorer)
        self._below.children = (self._explorer.widget,)

    def _show_busy(self) -> None:
        import ipywidgets

        note = ipywidgets.HTML("<div class=clnrm role=status>loading plotly …</div>")
        self._below.children = (self._models.own(note),)

    def _close_explorer(self) -> None:
        self._below.children = ()
        if self._explorer is not None:
            self._explorer.close_models()
            self._explorer = None

    # ------------------------------------------------------------------------------------------- the end

    def durable(self) -> object:
        """The last result, else the list of tests and variables."""
        from clnrm_nb.api.panels import panel

        if self._result is not None:
            return self._result
        return panel(self._paths, context=self._context, **_copied(self._options))

    def close_models(self) -> None:
        """See the base; a run that goes on is stopped, as nobody could see it any more."""
        self.cancel()
        self._close_explorer()
        self._fields.close()
        self._models.close()
        if self in _open:
            _open.remove(self)


_TEMPLATE_OPTIONS: Final = ("vars", "map", "vars_file", "parameters", "no_template")


class _EmbeddedLive(HtmlLive):
    """The live HTML inside a widget that is already there."""

    def __init__(self, place: Any, ended: Callable[[], None]) -> None:
        self._place = place
        self._ended = ended
        super().__init__()

    def _show(self) -> Any:
        self._draw()

    def _draw(self) -> None:
        self._place.value = progress_html(self.progress, self._newest())

    def replace(self, durable: object | None) -> bool:
        """See the base: the panel puts the result there itself."""
        del durable
        self._ended()
        return True


def _copied(options: dict[str, Any]) -> dict[str, Any]:
    """Functions of the api take options out of what they are given."""
    return dict(options)


def _outcome(test: PanelTest) -> str:
    return "" if test.outcome == "ok" else f" ({test.outcome})"
