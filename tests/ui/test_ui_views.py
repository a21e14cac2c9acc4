"""Live view, explorer, panel and review in a real JupyterLab: by mouse and by keyboard, in light and dark."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
ID = "shop.clnrm.toml::checkout"
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


def _tool(name):
    spec = importlib.util.spec_from_file_location(f"clnrm_ui_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tour = _tool("test_ui_tour")


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


@pytest.fixture
def work(tmp_path):
    """A project with a slow test, a test with variables, and three differences that wait."""
    import shutil
    from importlib import resources

    work = tmp_path / "work"
    (work / ".clnrm").mkdir(parents=True)
    (work / "slow.clnrm.toml").write_text(_slow_file(14, 4))
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        text = (source / "green.clnrm.toml.tera").read_text()
    more = '[vars]\ngreeting = "hello"\nport = 8080\nloud = true\napi_token = "hidden"\n'
    (work / "green.clnrm.toml.tera").write_text(text.replace("[vars]\n", more, 1))
    shutil.copyfile(work / "slow.clnrm.toml", work / "other.clnrm.toml")
    subprocess.run([sys.executable, "-c", PENDING, str(work)], check=True, timeout=60)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=name) for name, source in CELLS.items()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, work / "views.ipynb")
    return work


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param


@pytest.fixture
def lab(tmp_path, work, theme):
    """A JupyterLab with its own home and the theme asked for."""
    name = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme]
    for plugin, text in {
        "notebook-extension/tracker": '{"windowingMode": "none"}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
        "apputils-extension/themes": json.dumps({"theme": name}),
    }.items():
        settings = tmp_path / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(text)
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *("--port=0", "--IdentityProvider.token=views", f"--ServerApp.root_dir={work}"),
    ]
    server = subprocess.Popen(
        command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield tour._address(server) + "/lab/tree/views.ipynb?token=views&reset"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


@pytest.fixture
def page(browser):
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=tour.ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1500, "height": 1000})
        page.said = []
        page.on("console", lambda message: page.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: page.said.append(("pageerror", str(error))))
        page.set_default_timeout(40_000)
        yield page
        if artifacts := os.environ.get("CLNRM_TEST_ARTIFACTS"):
            page.screenshot(path=Path(artifacts) / "views-last.png")
        chromium.close()


@pytest.fixture
def picture(tmp_path, page, theme):
    """Take a screenshot; kept where a person named a directory."""
    directory = Path(os.environ.get("CLNRM_TEST_ARTIFACTS", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)

    def take(name):
        page.screenshot(path=directory / f"views-{name}-{theme}.png")

    return take


class Notebook:
    """The open notebook: cells by place, run with the keyboard as a person does."""

    def __init__(self, page) -> None:
        self.page = page
        self.names = list(CELLS)

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


def nodes(cell) -> int:
    return cell.locator(".jp-OutputArea").first.evaluate("area => area.querySelectorAll('*').length")


def test_everything_a_person_does_with_a_run(lab, page, picture, work):  # noqa: PLR0915  # One visit, as a person makes it: each Lab takes a minute.
    page.goto(lab)
    tour._wait_for_kernel(page)
    notebook = Notebook(page)
    notebook.run("load")

    # The run shows itself while it goes on, and its result stands there when it is over.
    cell = notebook.start("run")
    cell.locator("text=scenarios").first.wait_for()
    cell.locator(".js-plotly-plot").wait_for(timeout=30_000)
    cell.locator(".js-plotly-plot .bars .point").first.wait_for(state="attached")
    cell.scroll_into_view_if_needed()
    picture("live")
    assert nodes(cell) <= 3_000
    cell.locator("text=1 test: ").first.wait_for(timeout=60_000)
    assert cell.locator(".js-plotly-plot").count() == 0

    # A click on a bar selects the span; the list and the side table follow.
    cell = notebook.run("explore")
    cell.locator(".js-plotly-plot .bars .point path").nth(4).wait_for(timeout=60_000)
    cell.locator(".js-plotly-plot").scroll_into_view_if_needed()
    bar = cell.locator(".js-plotly-plot .bars .point path").nth(4)
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    cell.locator("text=order.id").wait_for()
    side = cell.locator("[aria-label='selected span']")
    side.locator("h4:has-text('step 5')").wait_for(timeout=15_000)
    picture("explore")
    assert "<b>5</b>" in side.inner_text()
    assert nodes(cell) <= 3_000
    # The list is the keyboard's way.
    chosen = cell.locator(".clnrm-list select")
    chosen.locator("option").nth(4).click()
    page.keyboard.press("ArrowDown")
    side.locator("h4:has-text('step 6')").wait_for(timeout=15_000)
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
    picture("panel")
    assert "hidden" not in cell.inner_text()
    cell.locator("button:has-text('Close')").click()

    # The review is done with the keyboard, and every decision is on disk at once.
    cell = notebook.run("review")
    cell.locator(".js-plotly-plot .bars .point").first.wait_for(timeout=60_000)
    cell.locator("button:has-text('Accept (a)')").scroll_into_view_if_needed()
    cell.locator("[aria-label='selected span']").wait_for()
    cell.locator("select").nth(1).focus()
    picture("review")
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.keyboard.press("a")
    cell.locator("text=1 accepted").first.wait_for()
    page.keyboard.press("r")
    cell.locator("text=1 rejected").first.wait_for()
    page.keyboard.press("u")
    cell.locator("text=2 pending").first.wait_for()
    page.keyboard.press("s")
    cell.locator("text=1 skipped").first.wait_for()
    picture("reviewed")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "Lab took a key for itself"
    log = [json.loads(path.read_text()) for path in (work / ".clnrm" / "baselines" / "log").glob("*.json")]
    actions = sorted(entry["action"] for entry in log if entry["id"] != "x")
    assert actions == ["accept", "accept", "accept", "accept", "reject", "undo"]
    cell.locator("button:has-text('Close')").last.click()
    cell.locator("text=pending differences").first.wait_for()

    # Nothing of ours is left in the kernel.
    cell = notebook.run("models")
    assert "left 0 0 0" in cell.inner_text()
    # ipywidgets itself complains where a figure measures its place just after its panel was closed.
    errors = [text for text in tour.own_errors(page.said) if text != "no comm channel defined"]
    assert errors == []
