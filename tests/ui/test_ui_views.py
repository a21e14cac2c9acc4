"""Live view, explorer, panel and review in a real JupyterLab: by mouse and by keyboard, in light and dark."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

MAX_NODES = 3_000
MAX_BARS = 1_400
AXE = "axe-core@4.14.1"
CELLS = {
    # The figure is imported beforehand: how long that takes depends on what else the machine does.
    "load": "%load_ext clnrm_nb\nfrom clnrm_nb.notebook.views import growing",
    "run": "r = %clnrm run slow.clnrm.toml --backend process --no-raise",
    "explore": "from clnrm_nb.notebook import explore\nexplore(r)",
    "panel": "%clnrm panel green.clnrm.toml.tera --backend process",
    "review": "%clnrm review",
    "models": (
        "from ipywidgets.widgets.widget import _instances as left\n"
        "from clnrm_nb.notebook.review.widget import _open as reviews\n"
        "from clnrm_nb.notebook.panel import _open as panels\n"
        "print('left', len(left), len(reviews), len(panels))"
    ),
}
SHOP_RUN = "%clnrm run shop.clnrm.toml --backend process --no-raise"
SHOP_CELLS = {
    "load": "%load_ext clnrm_nb\nfrom clnrm_nb.notebook import explore",
    "first": f"{SHOP_RUN} --update-baseline;",
    "plant": (
        "from pathlib import Path\n"
        "shop = Path('shop.clnrm.toml')\n"
        "shop.write_text(shop.read_text().replace('\"db.rows\": 2', '\"db.rows\": 3'));"
    ),
    "changed": f"r = {SHOP_RUN} --baseline",
    "explore": "explore(r)",
    "review": "%clnrm review",
    "again": f"{SHOP_RUN} --baseline",
}
RULE_CELLS = {
    **{name: SHOP_CELLS[name] for name in ("load", "first", "plant", "changed", "review", "again")},
    "versions": (
        "from clnrm_nb import api as clnrm\n"
        "text = shop.read_text().replace('currency', 'charge.currency')\n"
        "for words in (('charge card', 'charge account'), ('SELECT stock', 'SELECT stock and price')):\n"
        "    text = text.replace(*words)\n"
        "    shop.write_text(text)\n"
        "    clnrm.run('shop.clnrm.toml', backend='process', update_baseline=True, baseline=True)\n"
    ),
    "history": "history = %clnrm baseline history shop.clnrm.toml::buys\nhistory",
    "plot": "history.plot()",
}
SAVE_RUN = "%clnrm run green.clnrm.toml.tera --backend process --no-raise"
SAVE_CELLS = {
    "load": "%load_ext clnrm_nb",
    "first": SAVE_RUN,
    "again": SAVE_RUN,
    "watch": "watch = %clnrm watch . --backend process --detach",
    "edit": (
        "from pathlib import Path\n"
        "green = Path('green.clnrm.toml.tera')\n"
        "green.write_text('{# a comment #}\\n' + green.read_text().replace('[[expect.span]]', '[[expect.span', 1));"
    ),
    "repair": "green.write_text(green.read_text().replace('[[expect.span\\n', '[[expect.span]]\\n'));",
    "stop": "watch.stop(10);",
    "why": "%clnrm why green.clnrm.toml.tera",
    "list": "%clnrm cache list",
}
WINDOW_CELLS = {
    "load": (
        "from clnrm_nb.notebook import explore\n"
        "from clnrm_nb.diff import compare\n"
        "from clnrm_nb.report.diffs import TraceDiff\n"
        "from clnrm_nb.report.difflayout import Compared\n"
        "from clnrm_nb.report.results import Trace\n"
        "from clnrm_nb.spans.model import Span\n"
        "from clnrm_nb.spans.table import SpanTable\n"
        "def table(count, word):\n"
        "    spans = [Span('1' * 32, f'{n:016x}', f'{word} {n}' if n else 'top', f'{0:016x}' if n else None,\n"
        "                  start_ns=n * 1_000, end_ns=n * 1_000 + 900, attributes={'n': n}) for n in range(count)]\n"
        "    return SpanTable(spans)"
    ),
    "trace": "explore(Trace(table(5_000, 'step')))",
    # No name is the same on both sides: everything is hatched, the most that a diff can cost.
    "diff": (
        "old, new = table(600, 'old'), table(600, 'new')\n"
        "explore(TraceDiff([Compared('x', None, 'changed', compare(old, new), old, new)]))"
    ),
}
SPAN = (
    '{{"name": "step {n}", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "{n:016x}"{parent}, '
    '"attributes": {{"order.id": "A-{n}", "note": "<b>{n}</b>"}}, '
    '"start_time_unix_nano": {start}, "end_time_unix_nano": {end}}}'
)
# What waits for a decision: one changed attribute and one new span, in each of three scenarios.
PENDING = """
import sys
from pathlib import Path
from clnrm_nb.baseline import BaselineReview, compare_run
from clnrm_nb.config.project import find_project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.model import Resource, Span
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.state import State

TEST, NAMES = "shop.clnrm.toml", ("checkout", "refund", "search")
project = find_project(Path(sys.argv[1]))
shop = Resource({"service.name": "shop"})


def trace(rows, *more):
    top = Span("1" * 32, "1" * 16, "POST /orders", start_ns=1_000_000, end_ns=9_000_000, resource=shop)
    names = ("SELECT stock", "charge card", *more)
    return [top] + [
        Span("1" * 32, f"{n:016x}", name, "1" * 16, start_ns=n * 1_000_000, end_ns=(n + 1) * 1_000_000,
             attributes={"db.rows": rows, "tenant": "acme"}, resource=shop)
        for n, name in enumerate(names, 2)
    ]


def run(state, number, spans):
    table = SpanTable()
    for name in NAMES:
        for span in spans:
            table.append(span, name)
    parts = [ScenarioOutcome(name, status="passed") for name in NAMES]
    outcome = TestOutcome(TEST, TEST, status="passed", complete=True, scenarios=parts, spans=table)
    settings = load_settings(project, environ={})
    compare_run([outcome], project=project, state=state, settings=settings, run_id=f"01{number:03d}",
                at="2025-01-01T00:00:00Z")


with State.open(project.state_dir) as state:
    run(state, 1, trace(2))
    BaselineReview(project, state).accept([f"{TEST}::{name}" for name in NAMES], by="ada <ada@example.com>")
    run(state, 2, trace(3, "send mail"))
"""


def _slow_file(scenarios, spans_each) -> str:
    """A test whose scenarios each print a span with children below it, at the time it is."""
    text = '[meta]\nname = "slow"\nversion = "1"\n[otel]\nexporter = "stdout"\n'
    for scenario in range(scenarios):
        said = ["N=$(date +%s%N)"]
        for place in range(spans_each):
            n = scenario * spans_each + place + 1
            parent = f', "parent_span_id": "{n - place:016x}"' if place else ""
            start, end = (place * 90_000_000, place * 90_000_000 + 80_000_000) if place else (0, 380_000_000)
            line = SPAN.format(n=n, parent=parent, start=f"'$((N+{start}))'", end=f"'$((N+{end}))'")
            said.append(f"echo '{line}'")
        command = "; ".join([*said, "sleep 1.2"])
        text += f'[[scenario]]\nname = "s{scenario}"\nrun = {json.dumps(["sh", "-c", command])}\n'
    return text


def _shop_file() -> str:
    """A test of three spans, one of which says how many rows it read."""
    said = []
    for n, (name, attributes) in enumerate(
        (("POST /orders", {}), ("SELECT stock", {"db.rows": 2}), ("charge card", {"currency": "EUR"})), 1
    ):
        span = {
            "name": name,
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": f"{n:016x}",
            "attributes": attributes,
            "start_time_unix_nano": n * 1_000_000,
            "end_time_unix_nano": (10 - n) * 1_000_000,
        }
        said.append(json.dumps(span | ({"parent_span_id": f"{1:016x}"} if n > 1 else {})))
    command = "printf '%s\\n' " + " ".join(f"'{line}'" for line in said)
    header = '[meta]\nname = "shop"\nversion = "1"\n[otel]\nexporter = "stdout"\n'
    return f"{header}[[scenario]]\nname = \"buys\"\nrun = [\"sh\", \"-c\", '''{command}''']\n"


def write_notebook(file: Path, cells: dict[str, str]) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=name) for name, source in cells.items()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, file)


@pytest.fixture
def work(visit):
    """A project with a slow test, a test with variables, and three differences that wait."""
    work = visit.directory
    (work / ".clnrm").mkdir()
    (work / "slow.clnrm.toml").write_text(_slow_file(5, 4))
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        text = (source / "green.clnrm.toml.tera").read_text()
    more = '[vars]\ngreeting = "hello"\nport = 8080\nloud = true\napi_token = "hidden"\n'
    (work / "green.clnrm.toml.tera").write_text(text.replace("[vars]\n", more, 1))
    subprocess.run([sys.executable, "-c", PENDING, str(work)], check=True, timeout=60)
    return work


class Notebook:
    """An open notebook: cells by name, run with the keyboard as a person does."""

    def __init__(self, visit, cells: dict[str, str], *, theme: str) -> None:
        self.page = visit.page
        self.page.set_default_timeout(40_000)
        self.page.set_viewport_size({"width": 1500, "height": 1100})
        self.names = list(cells)
        write_notebook(visit.directory / "views.ipynb", cells)
        visit.open("views.ipynb", theme=theme)
        visit.wait_for_kernel()

    def cell(self, name):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(self.names.index(name))

    def start(self, name):
        cell = self.cell(name)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        return cell

    def run(self, name):
        cell = self.start(name)
        self.page.wait_for_function(
            "([cells, n]) => /[0-9]/.test(document.querySelectorAll(cells)[n]"
            ".querySelector('.jp-InputPrompt').textContent)",
            arg=[".jp-Notebook .jp-Cell", self.names.index(name)],
            timeout=90_000,
        )
        return cell

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str | None:
    """The source of axe-core, from the package registry; ``None`` where it cannot be had."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        return None
    directory = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(
        [npm, "pack", "--silent", AXE], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    if packed.returncode != 0:
        return None
    shutil.unpack_archive(directory / packed.stdout.split()[-1], directory)
    return (directory / "package" / "axe.min.js").read_text()


def violations(page, source: str | None) -> list[str]:
    """What axe has to say about our nodes; Lab's own page is not our business."""
    if source is None:
        return []
    # Lab's policy of content keeps script elements out; evaluating is allowed.
    page.evaluate(source)
    return page.evaluate(
        """async () => {
          const ours = [...document.querySelectorAll(".jp-OutputArea .clnrm-panel, .jp-OutputArea .clnrm")];
          const found = await axe.run({ include: ours }, { runOnly: ["wcag2a", "wcag2aa"] });
          if (found.passes.length < 5) throw new Error("axe looked at nothing");
          return found.violations.flatMap((rule) =>
            rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
        }"""
    )


def nodes(cell) -> int:
    return cell.locator(".jp-OutputArea").first.evaluate("area => area.querySelectorAll('*').length")


def bars(cell):
    return cell.locator(".js-plotly-plot .bars .point path")


AT_REST = """
bar => new Promise(done => {
  let last = "", since = 0;
  const look = now => {
    const box = bar.getBoundingClientRect();
    const place = [box.x, box.y, box.width].join();
    if (place !== last) { last = place; since = now; }
    if (now - since > 400) done(); else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})
"""
"""A figure fits itself to its panel after it was drawn; nobody clicks a bar that is on the move."""


def click_bar(page, bar) -> None:
    bar.scroll_into_view_if_needed()
    bar.evaluate(AT_REST)
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def edge(cell, number: int) -> str:
    """Colour of the edge of a bar."""
    return bars(cell).nth(number).evaluate("path => getComputedStyle(path).stroke")


def is_cut_off(cell) -> bool:
    """Whether something of ours is wider than its place."""
    return cell.locator(".clnrm-panel").first.evaluate(
        "panel => { const edge = panel.getBoundingClientRect().right + 1;"
        " return [...panel.querySelectorAll('.main-svg, button, table, select')]"
        ".some(node => node.getBoundingClientRect().right > edge); }"
    )


def test_accessibility_is_checked_by_axe_in_the_tests_below(axe):
    if axe is None:
        pytest.skip(f"{AXE} is not to be had: npm is missing or its registry does not answer")


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


def test_everything_a_person_does_with_a_run(visit, work, theme, axe):  # noqa: PLR0915  # One visit, as a person makes it: each takes half a minute.
    notebook = Notebook(visit, CELLS, theme=theme)
    page = visit.page
    notebook.run("load")

    # The run shows itself while it goes on, and its result stands there when it is over.
    cell = notebook.start("run")
    cell.locator("text=scenarios").first.wait_for()
    cell.locator(".js-plotly-plot .bars .point").first.wait_for(state="attached")
    cell.scroll_into_view_if_needed()
    visit.picture(f"views-live-{theme}")
    assert nodes(cell) <= MAX_NODES
    cell.locator("text=1 test: ").first.wait_for(timeout=60_000)
    assert cell.locator(".js-plotly-plot").count() == 0

    # A click on a bar selects the span; the list and the side table follow.
    cell = notebook.run("explore")
    bars(cell).nth(4).wait_for(timeout=60_000)
    click_bar(page, bars(cell).nth(4))
    cell.locator("text=order.id").wait_for()
    side = cell.locator("[aria-label='selected span']")
    side.locator("h4:has-text('step 5')").wait_for(timeout=15_000)
    visit.picture(f"views-explore-{theme}")
    assert "<b>5</b>" in side.inner_text()
    assert not is_cut_off(cell)
    # The list is the keyboard's way.
    chosen = cell.locator("select")
    chosen.locator("option").nth(4).click()
    page.keyboard.press("ArrowDown")
    side.locator("h4:has-text('step 6')").wait_for(timeout=15_000)
    assert violations(page, axe) == []
    cell.locator("button:has-text('Close')").click()
    cell.locator("button:has-text('Close')").wait_for(state="detached")

    # The panel renders, validates and runs; its command can be typed.
    cell = notebook.run("panel")
    run = cell.locator("button:has-text('Run')")
    run.wait_for()
    run.scroll_into_view_if_needed()
    cell.locator("button:has-text('Render')").click()
    cell.locator('text=name = "checkout"').first.wait_for()
    cell.locator("button:has-text('Validate')").click()
    cell.locator(".clnrm-results >> text=ok-with-warnings").first.wait_for()
    port = cell.locator("input[type=text]").nth(1)
    port.fill("9090")
    port.press("Tab")
    cell.locator("pre:has-text('port:=9090')").wait_for()
    run.focus()
    page.keyboard.press("Enter")
    cell.locator(".clnrm-results >> text=1 passed").first.wait_for(timeout=60_000)
    run.scroll_into_view_if_needed()
    visit.picture(f"views-panel-{theme}")
    assert "hidden" not in cell.inner_text()
    assert not is_cut_off(cell)
    assert violations(page, axe) == []
    cell.locator("button:has-text('Close')").click()

    # The review is done with the keyboard, and every decision is on disk at once.
    cell = notebook.run("review")
    bars(cell).first.wait_for(state="attached", timeout=60_000)
    cell.locator("[aria-label='selected span']").wait_for()
    cell.locator("button:has-text('Accept (a)')").scroll_into_view_if_needed()
    cell.locator("select").nth(1).focus()
    visit.picture(f"views-review-{theme}")
    assert not is_cut_off(cell)
    assert violations(page, axe) == []
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    _decide_about_one_edit(visit, cell, theme)
    assert not is_cut_off(cell)
    assert violations(page, axe) == []
    page.keyboard.press("a")
    cell.locator("text=1 accepted").first.wait_for()
    page.keyboard.press("r")
    cell.locator("text=1 rejected").first.wait_for()
    page.keyboard.press("u")
    cell.locator("text=2 pending").first.wait_for()
    page.keyboard.press("s")
    cell.locator("text=1 skipped").first.wait_for()
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "Lab took a key for itself"
    log = [json.loads(path.read_text()) for path in (work / ".clnrm" / "baselines" / "log").glob("*.json")]
    assert sorted(entry["action"] for entry in log) == [*["accept"] * 6, "reject", *["undo"] * 3]
    cell.locator("button:has-text('Close')").last.click()
    cell.locator("text=pending differences").first.wait_for()
    visit.picture(f"views-reviewed-{theme}")

    # Nothing of ours is left in the kernel.
    cell = notebook.run("models")
    assert "left 0 0 0" in cell.inner_text()
    assert visit.own_errors() == []
    assert visit.foreign_requests() == []


def test_planted_change_is_reviewed_by_keyboard_alone_and_the_next_run_is_green(visit, axe):
    (visit.directory / ".clnrm").mkdir()
    (visit.directory / "shop.clnrm.toml").write_text(_shop_file())
    notebook = Notebook(visit, SHOP_CELLS, theme="light")
    page = visit.page
    for name in ("load", "first", "plant"):
        notebook.run(name)

    # The change is red, and a click on the span that it is in says what changed.
    cell = notebook.run("changed")
    cell.locator("text=1 test: 1 failed").first.wait_for()
    cell.locator("text=db.rows").first.wait_for()
    visit.picture("show-1-changed")
    cell = notebook.run("explore")
    bars(cell).nth(1).wait_for(timeout=60_000)
    click_bar(page, bars(cell).nth(1))
    side = cell.locator("[aria-label='selected span']")
    side.locator("h4:has-text('SELECT stock')").wait_for()
    assert re.search(r"db\.rows\s+3", side.inner_text())
    visit.picture("show-2-clicked")

    # From here on no mouse: the review takes the focus and the keys.
    cell = notebook.run("review")
    bars(cell).first.wait_for(state="attached", timeout=60_000)
    page.wait_for_function("document.activeElement.title === 'differences'")
    assert re.search(r"db\.rows\s+2\s+3", cell.locator("[aria-label='selected span']").inner_text())
    _switch_the_theme(visit, notebook, cell)
    _press_every_key(notebook, cell)
    visit.picture("show-4-accepted")

    # Only the baseline is another one: the spans are compared again, nothing is run.
    cell = notebook.run("again")
    cell.locator("text=1 test: 1 cached").first.wait_for()
    visit.picture("show-5-green")
    assert violations(page, axe) == []
    assert visit.own_errors() == []


def test_a_rule_is_made_by_key_and_its_versions_are_drawn(visit, axe):
    work = visit.directory
    (work / ".clnrm").mkdir()
    (work / "shop.clnrm.toml").write_text(_shop_file())
    notebook = Notebook(visit, RULE_CELLS, theme="light")
    page = visit.page
    for name in ("load", "first", "plant", "changed"):
        notebook.run(name)

    # The rules stand below the buttons, each with what it would have done.
    cell = notebook.run("review")
    bars(cell).first.wait_for(state="attached", timeout=60_000)
    page.wait_for_function("document.activeElement.title === 'differences'")
    page.keyboard.press("m")
    offered = cell.locator("ol li")
    offered.first.wait_for()
    cell.locator("button:has-text('No rule (m)')").scroll_into_view_if_needed()
    visit.picture("rules-1-offered")
    assert re.search(r"db\.rows may be from 2 to 3", offered.first.inner_text())
    assert "of 50 edits injected" in offered.first.inner_text()
    assert not is_cut_off(cell)
    assert violations(page, axe) == []
    page.keyboard.press("f")
    cell.locator("text=the end of the scenario file").wait_for()
    page.keyboard.press("f")
    page.keyboard.press("1")
    cell.locator("text=1 rule").first.wait_for()
    visit.picture("rules-2-made")
    rules = work / ".clnrm" / "baselines" / "rules.toml"
    assert "range = [2, 3]" in rules.read_text()
    page.keyboard.press("u")
    cell.locator("text=1 pending").first.wait_for()
    assert not rules.exists()
    # The same by mouse.
    cell.locator("button:has-text('Make rule (m)')").click()
    offered.first.wait_for()
    cell.locator("button:has-text('Rule 1 (1)')").click()
    cell.locator("text=1 rule").first.wait_for()
    cell = notebook.run("again")
    cell.locator("text=1 test: 1 cached").first.wait_for()

    # What was accepted over time, in words and as a figure.
    notebook.run("versions")
    cell = notebook.run("history")
    cell.locator("text=version 2").first.wait_for()
    cell = notebook.run("plot")
    bars(cell).first.wait_for(state="attached", timeout=60_000)
    cell.scroll_into_view_if_needed()
    visit.picture("rules-3-versions")
    assert "spans in all" in cell.inner_text()
    assert visit.own_errors() == []


def _switch_the_theme(visit, notebook, cell) -> None:
    """The figure takes the colours of the other theme over while it is looked at."""
    amber, yellow = "rgb(199, 119, 0)", "rgb(235, 213, 58)"
    assert edge(cell, 1) == amber
    visit.set_theme("dark")
    notebook.page.wait_for_function(
        "([cells, n, colour]) => {"
        " const bar = document.querySelectorAll(cells)[n].querySelectorAll('.bars .point path')[1];"
        " return bar && getComputedStyle(bar).stroke === colour; }",
        arg=[".jp-Notebook .jp-Cell", notebook.names.index("review"), yellow],
    )
    visit.picture("show-3-review-dark")
    visit.set_theme("light")
    cell.locator("select").first.focus()


def _decide_about_one_edit(visit, cell, theme) -> None:
    """A cause of two edits is opened and one of them accepted and taken back: by key, then by mouse."""
    press = visit.page.keyboard.press
    entries = cell.locator("select").nth(1).locator("option")
    in_part = cell.locator("select").first.locator("option:has-text('1 accepted in part')")
    causes = entries.count()

    def button(name):
        return cell.get_by_role("button", name=name, exact=True)

    entries.filter(has_text="db.rows").click()
    press("e")
    button("Hide edits (e)").wait_for()
    expect(entries).to_have_count(causes + 2)
    press("ArrowDown")
    button("Accept edit (g)").wait_for()
    visit.picture(f"views-review-edit-{theme}")
    press("g")
    expect(in_part).to_have_count(1)
    expect(entries).to_have_count(causes + 1)
    press("u")
    expect(in_part).to_have_count(0)
    press("e")
    button("Edits (e)").wait_for()
    expect(entries).to_have_count(causes)

    button("Edits (e)").click()
    entries.filter(has_text="charge card").last.click()
    button("Accept edit (g)").click()
    expect(in_part).to_have_count(1)
    button("Undo (u)").click()
    expect(in_part).to_have_count(0)
    button("Hide edits (e)").click()
    expect(entries).to_have_count(causes)


def _press_every_key(notebook, cell) -> None:
    """Those that look, then those that decide; the last one accepts."""
    notebook.press("?")
    cell.locator("text=Refuse this trace").first.wait_for()
    notebook.press("?", "m")
    cell.locator("text=Rules that would allow this cause").wait_for()
    notebook.press("m")
    cell.locator("text=Rules that would allow this cause").wait_for(state="detached")
    notebook.press("1")
    cell.locator("button:has-text('✓ Old only (1)')").wait_for()
    notebook.press("2")
    cell.locator("button:has-text('✓ New only (2)')").wait_for()
    notebook.press("3")
    cell.locator("button:has-text('✓ Both (3)')").wait_for()
    # One tab stop for all buttons, arrows from one to the next.
    toolbar = cell.locator(".clnrm-toolbar").first
    stops = "bar => [...bar.querySelectorAll('button')].filter(button => button.tabIndex === 0).length"
    assert toolbar.evaluate(stops) == 1
    cell.locator("button:has-text('Accept (a)')").focus()
    notebook.press("ArrowRight")
    assert notebook.page.evaluate("document.activeElement.textContent") == "Accept cause (g)"
    assert toolbar.evaluate(stops) == 1
    notebook.press("A")
    cell.locator("text=nothing is pending").first.wait_for()
    # Deciding takes the button away that had the focus; the next key is heard all the same.
    notebook.page.wait_for_function("document.activeElement.closest('.clnrm-panel') !== null")
    notebook.press("u")
    cell.locator("text=1 pending").first.wait_for()
    notebook.press("r")
    cell.locator("text=1 rejected").first.wait_for()
    notebook.press("u")
    cell.locator("text=1 pending").first.wait_for()
    notebook.press("s")
    cell.locator("text=1 skipped").first.wait_for()
    notebook.press("g")
    cell.locator("text=1 accepted").first.wait_for()
    notebook.press("n", "p")
    assert cell.locator("[role=status]").first.get_attribute("aria-live") == "polite"


def test_the_largest_windows_stay_within_what_a_page_bears(visit):
    notebook = Notebook(visit, WINDOW_CELLS, theme="dark")
    notebook.run("load")

    for name, said in (("trace", "showing 800 of 5,000"), ("diff", "showing 450 of 1,200")):
        cell = notebook.run(name)
        bars(cell).first.wait_for(state="attached", timeout=60_000)
        cell.locator(f"text={said}").wait_for()
        print(f"{name}: {nodes(cell)} nodes, {bars(cell).count()} bars")
        assert nodes(cell) <= MAX_NODES
        assert bars(cell).count() <= MAX_BARS
        visit.picture(f"window-{name}")
        cell.locator("button:has-text('Close')").click()
        cell.locator("button:has-text('Close')").wait_for(state="detached")
    assert visit.own_errors() == []


def test_unchanged_tests_are_cached_and_a_watcher_in_a_cell_follows_what_is_saved(visit):
    (visit.directory / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / "green.clnrm.toml.tera", visit.directory)
    notebook = Notebook(visit, SAVE_CELLS, theme="light")
    notebook.run("load")

    notebook.run("first").locator("text=1 test: 1 passed").first.wait_for()
    notebook.run("again").locator("text=1 test: 1 cached").first.wait_for()
    visit.picture("save-1-cached")

    cell = notebook.run("watch")
    cell.locator("text=waiting for changes").first.wait_for()
    notebook.run("edit")
    cell.locator("text=/CLN2\\d\\d/").first.wait_for()
    visit.picture("save-2-broken")
    notebook.run("repair")
    cell.locator("text=1 cached").first.wait_for()
    cell.locator("text=comments and spelling only").first.wait_for()
    visit.picture("save-3-not-run")

    notebook.run("stop")
    cell.locator("text=ended").first.wait_for()
    notebook.run("why").locator("text=comments and spelling only").first.wait_for()
    notebook.run("list").locator("text=green.clnrm.toml.tera").first.wait_for()
    visit.picture("save-4-why")
    assert visit.own_errors() == []
