"""The tour in a real JupyterLab in a real browser: what a person sees after "Run All Cells"."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 90
RUN_MS = 120_000
KERNEL_MS = 40_000
KERNEL_TRIES = 3
# Run All marks every cell with a star at once; a failure takes the stars of the rest away.
_FINISHED = """() => {
  const prompts = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputPrompt")];
  return /[0-9]/.test(prompts[0].textContent) && !prompts.some((prompt) => prompt.textContent.includes("*"));
}"""


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab on a free port of loopback, with its own home; the address of the tour in it."""
    work = tmp_path / "work"
    work.mkdir()
    shutil.copyfile(ROOT / "notebooks" / "00-tour.ipynb", work / "00-tour.ipynb")
    environment = dict(os.environ)
    # Lab keeps cells outside the window out of the page; the test reads all of them. No news: no network.
    for name, text in {
        "notebook-extension/tracker": '{"windowingMode": "none"}',
        "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
    }.items():
        settings = tmp_path / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(text)
    environment |= {
        # `auto` takes the recording: what is looked at here is the page, not the engine.
        "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
        "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]]),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *("--port=0", "--IdentityProvider.token=tour", f"--ServerApp.root_dir={work}"),
    ]
    server = subprocess.Popen(
        command, cwd=work, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield _address(server) + "/lab/tree/00-tour.ipynb?token=tour&reset"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


def _address(server: subprocess.Popen[str]) -> str:
    log = []
    with _deadline(server):
        for line in server.stderr:
            log.append(line)
            found = re.search(r"(http://127\.0\.0\.1:\d+)/lab", line)
            if found and not found[1].endswith(":0"):
                return found[1]
    raise AssertionError("JupyterLab did not start:\n" + "".join(log))


class _deadline:  # noqa: N801  # Reads as a word in a with statement.
    """Kill the server, and so end the reading of its log, if it takes longer than it may."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        import threading

        self._timer = threading.Timer(START_S, server.kill)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


@pytest.fixture
def page(browser):
    """A page of a browser that fetches nothing of its own; what its console said is in ``.said``."""
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.said = []
        page.on("console", lambda message: page.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: page.said.append(("pageerror", str(error))))
        yield page
        chromium.close()


def run_all(page) -> None:
    """Run all cells from the menu; wait until none is waiting or running any more."""
    _wait_for_kernel(page)
    page.click("#jp-MainMenu .lm-MenuBar-itemLabel:text-is('Run')")
    page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    page.wait_for_function(_FINISHED, timeout=RUN_MS)


def _wait_for_kernel(page) -> None:
    """Until Lab says that the kernel is idle.

    The indicator in the toolbar says so before the kernel is connected; who runs cells then is asked for a
    kernel. The status bar is right, but on a busy machine it can miss the kernel's first message and wait
    for ever: loading the page again asks anew, as a person would.
    """
    status = page.locator("#jp-main-statusbar")
    for _ in range(KERNEL_TRIES):
        with suppress(PlaywrightTimeout):
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=RUN_MS)
            status.filter(has_text="| Idle").wait_for(timeout=KERNEL_MS)
            return
        page.reload()
    raise AssertionError(f"the kernel did not get idle: {status.inner_text()!r}, {page.said}")


def own_errors(said: list[tuple[str, str]]) -> list[str]:
    """Errors of the console that are not Lab's own about the host (no news, no git, no language server)."""
    foreign = ("Failed to load resource", "net::ERR_", "/api/", "favicon", "jupyterlab-news")
    return [
        text
        for kind, text in said
        if kind in {"error", "pageerror"} and not any(word in text for word in foreign)
    ]


@pytest.fixture
def screenshot(tmp_path) -> Path:
    """Where the picture goes: a directory a person named, or one that pytest removes in time."""
    directory = Path(os.environ.get("CLNRM_TEST_ARTIFACTS", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "tour.png"


def test_tour_runs_from_top_to_bottom_and_shows_what_it_promises(lab, page, screenshot):
    page.goto(lab)

    run_all(page)

    page.set_viewport_size({"width": 1280, "height": 5000})
    text = page.locator(".jp-Notebook").first.inner_text()
    page.locator(".jp-WindowedPanel-outer").first.evaluate("panel => panel.scrollTo(0, 0)")
    page.screenshot(path=str(screenshot))
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in prompts), text
    assert page.locator(".jp-RenderedHTMLCommon table.dataframe").count() >= 4
    assert "take from shelf" in text
    assert "POST /orders" in text
    assert "hermeticity.no_external_services" in text
    assert page.locator(".js-plotly-plot .barlayer .point").count() == 11
    assert own_errors(page.said) == []
