"""The JupyterLab extension in a real JupyterLab in a real browser, in notebooks that have no kernel."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect
from yardstick import slowness

from clnrm_nb.schemas import schema

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "clnrm_nb" / "labextension"
TRACE = "application/vnd.clnrm.trace.v1+json"
DIFF = "application/vnd.clnrm.diff.v1+json"
OPEN_MS = 60_000
ASKED_MS = 10_000
MAX_NODES = 3_000
FIRST_PAINT_MS = 150
SCENARIO = """\
# A comment with {{ a_tag }}
[meta]
name = "order of {{ count | upper }}"
{% for each in [1, 2] %}
[[scenario]]
timeout = 3
{% endfor %}
"""
MAGIC = """\
%%clnrm run --as result
[meta]
name = "from a cell"
"""
MAGIC_NOTEBOOK = "magic.ipynb"
"""The one notebook that gets a kernel: whether its cell is Python must not matter."""
CAUSE = "the status is a number now, and <b>db.system</b> came"
HOSTILE = '<img src=x onerror="window.clnrmHacked = 1">'


# ------------------------------------------------------------------------------------------- documents


def trace_document(count: int, *, version: int = 1) -> dict[str, object]:
    """A root with `count` - 1 children, every hundredth of them an error."""
    rows = range(count)
    columns = {
        "span_id": [f"{row:x}" for row in rows],
        "parent": [-1 if row == 0 else 0 for row in rows],
        **{name: [0] * count for name in ("test", "scenario", "trace_id", "service", "message", "own")},
        "name": [0 if row == 0 else 1 + row % 2 for row in rows],
        "kind": [0] * count,
        "status": [2 if row % 100 == 99 else 0 for row in rows],
        "start_us": list(rows),
        "duration_us": [count if row == 0 else 10 for row in rows],
    }
    return {
        "version": version,
        "kind": "trace",
        "total": count,
        "shown": count,
        "tests": ["shop.clnrm.toml"],
        "origin": ["2026-01-01T00:00:00.000000000Z"],
        "length_us": [count],
        "scenarios": ["buys"],
        "trace_ids": ["0af7651916cd43dd8448eb211c80319c"],
        "names": ["GET /cart", "query", HOSTILE],
        "services": ["web"],
        "messages": [""],
        "kinds": ["unspecified", "internal", "server", "client", "producer", "consumer"],
        "statuses": ["unset", "ok", "error"],
        "columns": {name: " ".join(map(str, values)) for name, values in columns.items()},
    }


def diff_of_nothing() -> dict[str, object]:
    """What ``%clnrm diff nowhere`` leaves in a notebook."""
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.diffs import TraceDiff

    diff = TraceDiff()
    diff.add_findings([Diagnostic("CLN001", "no such path", file="nowhere").to_json()])
    return diff.document()


def diff_document() -> dict[str, object]:
    """A root with 20 equal children, a changed one (two edits of one cause), a missing one and an added one."""
    count = 24
    rows = range(count)
    status = [0] * 21 + [1, 3, 2]
    columns = {
        "diff": [0] * count,
        "status": status,
        "depth": [min(row, 1) for row in rows],
        "parent": [-1 if row == 0 else 0 for row in rows],
        "name": [-1 if status[row] == 3 else min(row, 1) for row in rows],
        "baseline_name": [-1 if status[row] == 2 else min(row, 1) for row in rows],
        "service": [0] * count,
        "start_us": [-1 if status[row] == 3 else row * 10 for row in rows],
        "duration_us": [-1 if status[row] == 3 else 10 for row in rows],
        "baseline_start_us": [-1 if status[row] == 2 else row * 10 for row in rows],
        "baseline_duration_us": [-1 if status[row] == 2 else 20 for row in rows],
        "left_out": [0] * count,
        "edits": ["-"] * 21 + ["0,1", "2", "3"],
    }
    edits = {
        "diff": "0 0 0 0",
        "edit_id": " ".join(f"e{number:012x}" for number in range(4)),
        "cause": "0 0 1 2",
        "op": "0 1 3 2",
        "path": "0 0 -1 0",
        "baseline_path": "0 0 0 -1",
        "key": "0 1 -1 -1",
        "baseline": "0 2 3 2",
        "current": "1 0 2 3",
        "cost": "2 2 6 6",
        "counted": "1 1 1 1",
        "rule": "0 0 0 0",
        "reason": "0 0 0 0",
        "score": "1000 1000 0 0",
        "runner_up": "-1 -1 -1 -1",
        "runner_up_score": "0 0 0 0",
        "runner_up_cost": "0 0 0 0",
        "runner_up_free": "0 0 0 0",
        "review": "-1 -1 -1 -1",
    }
    spans = {"same": 21, "changed": 1, "added": 1, "missing": 1, "moved": 0, "renamed": 0}
    numbers = {"diffs": 1, "spans": count, "edits": 4, "causes": 3}
    comparison = {
        "id": "shop.clnrm.toml::buys",
        "test": "shop.clnrm.toml",
        "scenario": "buys",
        "status": "changed",
        "code": "CLN701",
        "message": None,
        "baseline_name": None,
        "version": 2,
        "baseline_digest": None,
        "trace_digest": None,
        "composed": True,
        "certified": True,
        "spans": spans,
        "edits": 4,
        "cost": 16,
        "quieted": {},
        "ignored": {},
        "notes": [],
        "length_us": 240,
        "baseline_length_us": 240,
        "left_out": 0,
    }
    return {
        "version": 1,
        "kind": "diff",
        "command": "diff",
        "ok": False,
        "exit_code": 1,
        "total": numbers,
        "shown": numbers,
        "spans": spans,
        "diffs": [comparison],
        "statuses": ["same", "changed", "added", "missing", "moved", "renamed"],
        "ops": ["attr~", "attr+", "insert", "delete"],
        "reviews": ["pending"],
        "names": ["GET /cart", "query"],
        "services": ["web"],
        "paths": ["GET /cart/query"],
        "keys": ["http.response.status_code", "db.system"],
        "values": ["200", 200, None, {"name": "query", "service": "web", "spans": 1, "digest": "sha256:0"}],
        "rules": ["label"],
        "reasons": ["only this attribute differs"],
        "messages": [CAUSE, "query went", "query came"],
        "rows": {name: " ".join(map(str, values)) for name, values in columns.items()},
        "edits": edits,
        "causes": {
            "diff": "0 0 0",
            "cause_id": " ".join(f"c{number:012x}" for number in range(3)),
            "message": "0 1 2",
            "edits": "2 1 1",
            "cost": "4 6 6",
            "counted": "1 1 1",
        },
    }


def saved_notebook(*bundles: dict[str, object], source: str = "1", language: str = "none") -> str:
    """A saved notebook of a kernel that does not exist, with one output a cell."""
    notebook = nbformat.v4.new_notebook()
    # Lab takes any kernel of the same language; where there is none, nothing ever runs.
    notebook.metadata["kernelspec"] = {"name": "nobody", "display_name": "Nobody", "language": language}
    notebook.metadata["language_info"] = {"name": language}
    notebook.cells = [
        nbformat.v4.new_code_cell(
            source,
            execution_count=1,
            outputs=[nbformat.v4.new_output("execute_result", data=bundle, execution_count=1)],
        )
        for bundle in bundles
    ] or [nbformat.v4.new_code_cell(source)]
    return nbformat.writes(notebook)


def shown(mime: str, document: object) -> dict[str, object]:
    """A bundle as ours are: the document, HTML for other viewers, text."""
    return {mime: document, "text/html": "<b>the HTML form</b>", "text/plain": "the text form"}


# ------------------------------------------------------------------------------------------- fixtures


@pytest.fixture(scope="module")
def extension(tmp_path_factory) -> Path:
    """The built extension, as new as its sources."""
    spec = importlib.util.spec_from_file_location("build_backend", ROOT / "labextension" / "build_backend.py")
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    if not backend.is_built():
        reason = "the JupyterLab extension is not built from its present sources: make labextension"
        if "labextension" in os.environ.get("CLNRM_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    # Lab asks for a directory of the name of the package.
    named = tmp_path_factory.mktemp("extension") / "clnrm-nb"
    named.symlink_to(OUTPUT, target_is_directory=True)
    return named


FILES = {
    "trace.ipynb": lambda: saved_notebook(shown(TRACE, trace_document(300))),
    "large.ipynb": lambda: saved_notebook(shown(TRACE, trace_document(10_000))),
    "diff.ipynb": lambda: saved_notebook(shown(DIFF, diff_document())),
    "nothing.ipynb": lambda: saved_notebook(shown(DIFF, diff_of_nothing())),
    "refused.ipynb": lambda: saved_notebook(
        shown(TRACE, trace_document(3, version=2)), shown(TRACE, {**trace_document(3), "columns": {}})
    ),
    MAGIC_NOTEBOOK: lambda: saved_notebook(source=MAGIC, language="python"),
    "order.clnrm.toml.tera": lambda: SCENARIO,
}


@pytest.fixture
def open_file(extension, visit):
    """Write one of the files and open it in Lab; the panel of the main area that shows it."""
    visit.lab.link_extension(extension)

    def open_file(name: str):
        (visit.directory / name).write_text(FILES[name]())
        panel = visit.open(name)
        if name.endswith(".ipynb") and name != MAGIC_NOTEBOOK:
            # Lab asks for a kernel, but not always when the same notebook is opened again.
            with suppress(PlaywrightTimeout):
                visit.page.get_by_role("dialog").get_by_role("button", name="No Kernel").click(
                    timeout=ASKED_MS
                )
            visit.page.get_by_role("dialog").wait_for(state="detached")
        return panel

    return open_file


@pytest.fixture
def page(visit):
    return visit.page


@pytest.fixture
def in_both_themes(visit):
    """Take a picture in dark and in light."""

    def take(name: str) -> None:
        for theme in ("dark", "light"):
            visit.set_theme(theme)
            visit.picture(f"labextension-{name}-{theme}")

    return take


def assert_clean(visit) -> None:
    """No error of ours in the console (nobody has the kernel), no address beyond this machine."""
    assert visit.own_errors("kernel", "Kernel") == []
    assert visit.foreign_requests() == []


def rows_of(panel):
    return panel.locator(".clnrm-Grid-body > [role=row]")


def active_text(panel) -> str:
    return panel.locator(".clnrm-Grid [role=row][aria-selected=true]").inner_text()


# ---------------------------------------------------------------------------------------------- tests


def test_documents_of_these_tests_are_what_clnrm_writes():
    import jsonschema

    jsonschema.validate(trace_document(300), schema("trace"))
    jsonschema.validate(diff_document(), schema("diff"))


def test_saved_trace_is_a_tree_without_a_kernel(open_file, page, in_both_themes, visit):
    panel = open_file("trace.ipynb")

    grid = panel.get_by_role("treegrid", name="Trace")
    expect(grid).to_be_visible(timeout=OPEN_MS)
    expect(panel.locator(".clnrm-View-heading")).to_have_text("Trace: 300 spans · 1 service · 3 errors")
    expect(panel.locator(".jp-OutputArea")).not_to_contain_text("the HTML form")
    assert grid.get_attribute("aria-rowcount") == "301"
    # The first error is what a person looks for, and its facts are shown.
    expect(panel.locator(".clnrm-Row[aria-selected=true]")).to_have_attribute("data-state", "error")
    expect(panel.locator(".clnrm-Facts")).to_contain_text("0af7651916cd43dd8448eb211c80319c")
    in_both_themes("trace")
    # Lab hides the page while it changes the theme, which takes the scroll position away.
    expect(panel.locator(".clnrm-Row[aria-selected=true]")).to_be_in_viewport()
    assert_clean(visit)


def test_names_from_strangers_are_text(open_file, page):
    panel = open_file("trace.ipynb")

    expect(panel.locator(".clnrm-Row-name", has_text=HOSTILE).first).to_be_visible(timeout=OPEN_MS)

    assert panel.locator(".clnrm-View img").count() == 0
    assert page.evaluate("window.clnrmHacked") is None


def test_trace_is_walked_with_the_keyboard(open_file, page):
    panel = open_file("trace.ipynb")
    grid = panel.get_by_role("treegrid")
    grid.focus()

    page.keyboard.press("Home")
    expect(rows_of(panel).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(rows_of(panel)).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    expect(panel.locator("[aria-selected=true]")).to_have_attribute("aria-rowindex", "101")
    page.keyboard.press("n")
    expect(panel.locator("[aria-selected=true]")).to_have_attribute("aria-rowindex", "201")
    page.keyboard.press("p")
    expect(panel.locator("[aria-selected=true]")).to_have_attribute("aria-rowindex", "101")
    page.keyboard.press("End")
    expect(panel.locator("[aria-selected=true]")).to_have_attribute("aria-rowindex", "301")

    active = grid.get_attribute("aria-activedescendant")
    assert page.locator(f"[id='{active}']").get_attribute("aria-selected") == "true"
    # No key of these ran a command of the notebook.
    assert panel.locator(".jp-Cell").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('role')") == "treegrid"


def test_keys_with_a_modifier_stay_with_the_application(open_file, page):
    panel = open_file("trace.ipynb")
    panel.get_by_role("treegrid").focus()

    page.keyboard.press("Control+Shift+C")

    expect(page.locator(".lm-CommandPalette-input, .jp-ModalCommandPalette")).not_to_have_count(0)


def test_ten_thousand_spans_are_few_nodes_and_fast(open_file, page):
    panel = open_file("large.ipynb")
    grid = panel.get_by_role("treegrid")
    expect(rows_of(panel).first).to_be_visible(timeout=OPEN_MS)

    paints_ms = page.evaluate(
        """async document_ => {
          const mime = 'application/vnd.clnrm.trace.v1+json';
          const registry = window.jupyterapp.shell.currentWidget.content.rendermime;
          const times = [];
          for (let i = 0; i < 5; i++) {
            const renderer = registry.createRenderer(mime);
            document.body.append(renderer.node);
            const model = registry.createModel({ data: { [mime]: document_ } });
            const start = performance.now();
            await renderer.renderModel(model);
            while (renderer.node.querySelectorAll('.clnrm-Row').length < 10) {
              await new Promise(requestAnimationFrame);
            }
            times.push(performance.now() - start);
            renderer.node.remove();
            renderer.dispose();
          }
          return times;
        }""",
        trace_document(10_000),
    )
    grid.evaluate("node => { node.scrollTop = 120000; }")
    expect(panel.locator("[aria-rowindex='5003']")).to_be_visible()

    print(f"first paint of 10,000 spans, ms: {[round(each) for each in paints_ms]}")
    assert min(paints_ms) <= FIRST_PAINT_MS * slowness(time.perf_counter)
    assert panel.locator(".clnrm-View *").count() <= MAX_NODES


def large_diff(count: int) -> dict[str, object]:
    """:func:`diff_document` with `count` rows, every hundredth of them changed."""
    document = diff_document()
    rows = range(count)
    of_rows = {
        "diff": (0 for _ in rows),
        "status": (int(row % 100 == 99) for row in rows),
        "depth": (min(row, 1) for row in rows),
        "parent": (-1 if row == 0 else 0 for row in rows),
        "name": (min(row, 1) for row in rows),
        "baseline_name": (min(row, 1) for row in rows),
        "service": (0 for _ in rows),
        "start_us": (row * 10 for row in rows),
        "duration_us": (10 for _ in rows),
        "baseline_start_us": (row * 10 for row in rows),
        "baseline_duration_us": (20 for _ in rows),
        "left_out": (0 for _ in rows),
        "edits": ("0" if row % 100 == 99 else "-" for row in rows),
    }
    columns = {name: " ".join(map(str, values)) for name, values in of_rows.items()}
    return {**document, "rows": {name: columns[name] for name in document["rows"]}}


@pytest.mark.parametrize(
    ("count", "most_ms"), [(1_000, 300), (10_000, 500), (100_000, 1_500)], ids=["1000", "10000", "100000"]
)
def test_a_diff_is_painted_soon_and_in_few_nodes_however_large_it_is(open_file, page, count, most_ms):
    panel = open_file("diff.ipynb")
    expect(panel.get_by_role("treegrid", name="Diff")).to_be_visible(timeout=OPEN_MS)

    paints = page.evaluate(
        """async document_ => {
          const mime = 'application/vnd.clnrm.diff.v1+json';
          const registry = window.jupyterapp.shell.currentWidget.content.rendermime;
          const times = [];
          for (let i = 0; i < 3; i++) {
            const renderer = registry.createRenderer(mime);
            document.body.append(renderer.node);
            const model = registry.createModel({ data: { [mime]: document_ } });
            const start = performance.now();
            await renderer.renderModel(model);
            while (renderer.node.querySelectorAll('.clnrm-Row').length < 5) {
              await new Promise(requestAnimationFrame);
            }
            times.push([performance.now() - start, renderer.node.querySelectorAll('*').length]);
            renderer.node.remove();
            renderer.dispose();
          }
          return times;
        }""",
        large_diff(count),
    )

    print(f"first paint of a diff of {count:,} spans, ms: {[round(each) for each, _ in paints]}")
    assert min(each for each, _ in paints) <= most_ms * slowness(time.perf_counter)
    assert max(nodes for _, nodes in paints) <= MAX_NODES


def test_diff_shows_differences_first_and_the_rest_on_demand(open_file, in_both_themes, visit):
    panel = open_file("diff.ipynb")
    expect(panel.get_by_role("treegrid", name="Diff")).to_be_visible(timeout=OPEN_MS)

    expect(panel.locator(".clnrm-mod-fold")).to_have_text(re.compile("… 20 unchanged"))
    expect(rows_of(panel)).to_have_count(5)
    assert [row.get_attribute("data-state") for row in panel.locator(".clnrm-Row[data-state]").all()] == [
        "same",
        "changed",
        "missing",
        "added",
    ]
    fact = panel.locator(".clnrm-Fact", has_text="http.response.status_code")
    expect(fact.locator("del")).to_have_text('"200"')
    expect(fact.locator("ins")).to_have_text("200")
    expect(panel.locator(".clnrm-View-note")).to_contain_text("partial accepts")
    in_both_themes("diff")
    panel.locator(".clnrm-mod-fold").click()
    expect(rows_of(panel)).to_have_count(24)
    button = panel.get_by_role("button", name="Only differences")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(rows_of(panel)).to_have_count(5)
    assert_clean(visit)


def test_causes_say_what_they_are_and_lead_to_their_rows_with_the_keyboard(
    open_file, page, in_both_themes, visit
):
    panel = open_file("diff.ipynb")
    causes = panel.get_by_role("list", name="Causes of the differences")
    expect(causes).to_be_visible(timeout=OPEN_MS)
    summaries = causes.locator("summary")
    expect(summaries).to_have_count(3)
    expect(summaries.first).to_contain_text(CAUSE)
    expect(summaries.first).to_contain_text("2 edits, cost 4")

    summaries.nth(1).focus()
    page.keyboard.press("Enter")
    # A removed subtree; Enter edited no cell.
    expect(causes.locator(".clnrm-Cause-members del")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(panel.locator(".clnrm-Row[aria-selected=true]")).to_have_attribute("data-state", "missing")
    summaries.first.click()
    expect(causes.locator("details").first.locator("li")).to_have_count(2)

    assert panel.locator(".jp-Notebook.jp-mod-editMode").count() == 0
    in_both_themes("causes")
    assert_clean(visit)


def test_states_are_told_apart_in_colours_that_the_system_forces(open_file, page, visit):
    panel = open_file("diff.ipynb")
    expect(panel.get_by_role("treegrid")).to_be_visible(timeout=OPEN_MS)

    page.emulate_media(forced_colors="active")

    visit.picture("labextension-forced-colors")
    bars = panel.locator(".clnrm-Row-bar")
    drawn = bars.evaluate_all(
        "bars => bars.map(bar => { const s = getComputedStyle(bar); return s.borderTopStyle + s.backgroundImage; })"
    )
    assert len(set(drawn)) >= 3, drawn
    signs = panel.locator(".clnrm-Row-sign").all_inner_texts()
    assert {"~", "+", "−"} <= set(signs)
    page.emulate_media(forced_colors="none")


def test_narrow_output_keeps_names_and_durations(open_file, visit):
    panel = open_file("diff.ipynb")
    expect(panel.get_by_role("treegrid")).to_be_visible(timeout=OPEN_MS)

    panel.locator(".clnrm-Output").first.evaluate("node => { node.style.maxWidth = '320px'; }")

    expect(panel.locator(".clnrm-Row-service").first).to_be_hidden()
    expect(panel.locator(".clnrm-Grid-body .clnrm-Row-duration").first).to_be_visible()
    visit.picture("labextension-narrow")


def test_paper_has_all_rows_one_below_the_other(open_file, page):
    panel = open_file("trace.ipynb")
    expect(panel.get_by_role("treegrid")).to_be_visible(timeout=OPEN_MS)

    page.emulate_media(media="print")
    expect(rows_of(panel)).to_have_count(300)
    page.emulate_media(media="screen")

    expect(panel.locator("[aria-rowindex='301']")).to_have_count(0)


def test_a_diff_of_nothing_says_why_and_shows_no_sign_of_success(open_file, visit):
    panel = open_file("nothing.ipynb")

    expect(panel.locator(".clnrm-View-heading")).to_have_text("Diff: nothing was compared", timeout=OPEN_MS)
    expect(panel.locator(".clnrm-View-note")).to_contain_text("CLN001 nowhere: no such path")
    expect(panel.locator(".clnrm-View")).not_to_contain_text("✓")
    assert_clean(visit)


def test_newer_and_damaged_documents_are_refused_in_a_sentence(open_file, visit):
    panel = open_file("refused.ipynb")

    refusals = panel.locator(".clnrm-View-refusal")
    expect(refusals).to_have_count(2, timeout=OPEN_MS)
    expect(refusals.nth(0)).to_contain_text("written by a newer clnrm_nb (document version 2)")
    expect(refusals.nth(1)).to_contain_text('damaged: column "span_id" is missing')
    assert_clean(visit)


def test_disposed_renderer_leaves_nothing_behind(open_file, page):
    open_file("trace.ipynb").get_by_role("treegrid").wait_for(timeout=OPEN_MS)

    left = page.evaluate(
        """async document_ => {
          const mime = 'application/vnd.clnrm.trace.v1+json';
          const registry = window.jupyterapp.shell.currentWidget.content.rendermime;
          let listeners = 0;
          const { addEventListener } = EventTarget.prototype;
          EventTarget.prototype.addEventListener = function (type, listener, options) {
            if (options?.signal) {
              listeners++;
              options.signal.addEventListener('abort', () => listeners--);
            }
            return addEventListener.call(this, type, listener, options);
          };
          const renderer = registry.createRenderer(mime);
          document.body.append(renderer.node);
          await renderer.renderModel(registry.createModel({ data: { [mime]: document_ } }));
          const during = listeners;
          renderer.node.remove();
          renderer.dispose();
          EventTarget.prototype.addEventListener = addEventListener;
          return { during, after: listeners, nodes: renderer.node.childNodes.length };
        }""",
        trace_document(50),
    )

    assert left["during"] > 5
    assert (left["after"], left["nodes"]) == (0, 0)


# What the highlighter made of some text: the CSS classes around it.
_CLASSES_OF = """(panel, text) => {
  const walker = document.createTreeWalker(panel.querySelector('.cm-content'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (walker.currentNode.data === text) {
      return walker.currentNode.parentElement.className;
    }
  }
  return null;
}"""


def classes_of(panel, text: str) -> str | None:
    return panel.evaluate(_CLASSES_OF, text)


def test_scenario_file_opens_highlighted_with_its_type(open_file, page, in_both_themes, visit):
    panel = open_file("order.clnrm.toml.tera")
    expect(panel.locator(".cm-content")).to_contain_text("a_tag", timeout=OPEN_MS)
    page.wait_for_function("document.querySelectorAll('.cm-content span[class]').length > 10")

    words = ["[meta]", "name", "for", "| upper", "3", "# A comment with "]
    found = {word: classes_of(panel, word) for word in words}
    kinds = set(found.values())
    in_both_themes("scenario")

    assert all(found.values()), found
    assert len(kinds) >= 4, found
    types = page.evaluate(
        "['a.clnrm.toml', 'b/a.x.clnrm.toml.tera', 'a.toml'].map(name =>"
        " window.jupyterapp.docRegistry.getFileTypesForPath(name).map(type => type.name)[0])"
    )
    assert types[:2] == ["clnrm-scenario", "clnrm-scenario"]
    assert types[2] != "clnrm-scenario"
    expect(page.locator("#jp-main-statusbar")).to_contain_text("clnrm")
    listed = page.locator(".jp-DirListing-item", has_text="order.clnrm")
    expect(listed.locator("[data-icon='clnrm:scenario']")).to_be_visible()
    assert_clean(visit)


def test_magic_cell_is_highlighted_while_its_first_line_says_so(open_file, page, visit):
    panel = open_file(MAGIC_NOTEBOOK)
    expect(panel.locator(".cm-content")).to_contain_text("from a cell", timeout=OPEN_MS)
    page.wait_for_function("document.querySelectorAll('.jp-Notebook .cm-content span[class]').length > 2")
    visit.picture("labextension-magic")

    as_scenario = classes_of(panel, "[meta]")
    magic = classes_of(panel, "%%clnrm run --as result")
    panel.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# ")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Notebook .cm-content span')]"
        ".every(span => span.textContent !== '[meta]')"
    )
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-Notebook .cm-content span')]"
        ".some(span => span.textContent === '[meta]')"
    )

    assert as_scenario
    assert magic
    assert classes_of(panel, "[meta]") == as_scenario
    assert_clean(visit)


def test_new_scenario_is_a_file_that_opens(open_file, page):
    open_file("order.clnrm.toml.tera").locator(".cm-content").wait_for(timeout=OPEN_MS)

    page.evaluate("window.jupyterapp.commands.execute('clnrm:new-scenario')")

    made = page.locator("#jp-main-dock-panel .jp-Document:not(.lm-mod-hidden) .cm-content")
    expect(made).to_contain_text("expected_output_contains", timeout=OPEN_MS)


def test_extension_is_small_and_each_plugin_is_active(extension, open_file, page):
    open_file("order.clnrm.toml.tera").locator(".cm-content").wait_for(timeout=OPEN_MS)

    states = page.evaluate(
        "['file-type', 'new-scenario', 'language', 'magic-cells', 'trace', 'diff'].map(name =>"
        " window.jupyterapp.isPluginActivated('clnrm-nb:' + name))"
    )

    assert states == [True] * 6
    size_bytes = sum(file.stat().st_size for file in extension.rglob("*") if file.is_file())
    assert size_bytes <= 150_000
    shipped = json.loads((extension / "package.json").read_text())
    assert shipped["jupyterlab"]["_build"]["load"].startswith("static/remoteEntry")
