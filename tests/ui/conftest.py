"""One JupyterLab for all tests of the page, one browser a file, one visit a test.

The server is a process of its own and lasts as long as the session. The browser is driven by an event loop
of this thread, beside which no other may run: it ends with its file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The default of five seconds is that of a machine of one's own.
expect.set_options(timeout=40_000)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
START_S = 90
OPEN_MS = 60_000
RUN_MS = 120_000
KERNEL_MS = 40_000
KERNEL_TRIES = 3
TOKEN = "clnrm"
# What Lab says about the host (no news, no git, no language server, a page left while it loads), not about us.
FOREIGN_ERRORS = (
    "Failed to load resource",
    "Failed to fetch",
    "net::ERR_",
    "/api/",
    "favicon",
    "jupyterlab-news",
)
# Run All marks every cell with a star at once; a failure takes the stars of the rest away.
_FINISHED = """() => {
  const prompts = [...document.querySelectorAll(".jp-Notebook .jp-CodeCell .jp-InputPrompt")];
  return /[0-9]/.test(prompts[0].textContent) && !prompts.some((prompt) => prompt.textContent.includes("*"));
}"""


# ------------------------------------------------------------------------------------------- the server


@dataclass(frozen=True)
class JupyterLab:
    """A running JupyterLab with a home of its own.

    ``address`` is where it answers, ``directory`` what it serves, ``home`` where its settings and
    ``data/labextensions`` are.
    """

    address: str
    directory: Path
    home: Path

    def url(self, path: Path | str) -> str:
        """Address of a file below the directory, opened without what was open before."""
        place = Path(path).relative_to(self.directory) if Path(path).is_absolute() else path
        return f"{self.address}/lab/tree/{place}?token={TOKEN}&reset"

    def change_settings(self, plugin: str, **settings: object) -> None:
        """Settings of a plugin of Lab, read when a page is loaded."""
        file = self.home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))

    def link_extension(self, built: Path) -> None:
        """Have a prebuilt extension loaded with every page from now on."""
        link = self.home / "data" / "labextensions" / built.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(built, target_is_directory=True)


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory):
    """The one server; it finds no Docker engine, so that ``auto`` takes recordings."""
    home = tmp_path_factory.mktemp("jupyterlab")
    directory = home / "work"
    directory.mkdir()
    environment = os.environ | {
        "DOCKER_HOST": f"unix://{home}/nobody.sock",
        "HOME": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "IPYTHONDIR": str(home / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={directory}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    server = subprocess.Popen(
        command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        lab = JupyterLab(_address(server), directory, home)
        # A full pipe would stop the server.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        # Lab keeps cells outside the window out of the page; tests read all of them. No news: no network.
        lab.change_settings("notebook-extension/tracker", windowingMode="none")
        lab.change_settings("apputils-extension/notification", fetchNews="false", checkForUpdates=False)
        yield lab
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _address(server: subprocess.Popen[str]) -> str:
    """Where the server says that it answers; killed, and so heard to its end, if it takes too long."""
    log = []
    deadline = threading.Timer(START_S, server.kill)
    deadline.start()
    try:
        for line in server.stderr:
            log.append(line)
            found = re.search(r"(http://127\.0\.0\.1:\d+)/lab", line)
            if found and not found[1].endswith(":0"):
                return found[1]
    finally:
        deadline.cancel()
    raise AssertionError("JupyterLab did not start:\n" + "".join(log))


# -------------------------------------------------------------------------------------------- the visit


class Visit:
    """A person in front of a page of Lab.

    ``page`` is playwright's; ``directory`` is empty, of this test alone, and served by Lab.
    """

    def __init__(self, lab: JupyterLab, page, directory: Path, pictures: Path) -> None:
        self.lab = lab
        self.page = page
        self.directory = directory
        self._pictures = pictures
        self._said: list[tuple[str, str]] = []
        self._asked: list[str] = []
        page.on("console", lambda message: self._said.append((message.type, message.text)))
        page.on("pageerror", lambda error: self._said.append(("pageerror", str(error))))
        page.on("request", lambda request: self._asked.append(request.url))

    def open(self, name: str, *, theme: str = "light"):
        """Open a file of the directory; the panel of the main area that shows it."""
        self.lab.change_settings("apputils-extension/themes", theme=THEMES[theme])
        self.page.goto(self.lab.url(self.directory / name))
        panel = self.page.locator("#jp-main-dock-panel .jp-Document:not(.lm-mod-hidden)")
        panel.wait_for(timeout=OPEN_MS)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=OPEN_MS)
        return panel

    def set_theme(self, theme: str) -> None:
        """Switch the theme as a person does, with everything on the page."""
        self.page.evaluate(
            "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }",
            THEMES[theme],
        )
        wanted = {"light": "true", "dark": "false"}[theme]
        self.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=wanted)
        # Lab covers the page while it changes.
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=OPEN_MS)

    def wait_for_kernel(self) -> None:
        """Until Lab says that the kernel is idle.

        The indicator in the toolbar says so before the kernel is connected; who runs cells then is asked for
        a kernel. The status bar is right, but on a busy machine it can miss the kernel's first message and
        wait for ever: loading the page again asks anew, as a person would.
        """
        status = self.page.locator("#jp-main-statusbar")
        for _ in range(KERNEL_TRIES):
            with suppress(PlaywrightTimeout):
                self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=RUN_MS)
                status.filter(has_text="| Idle").wait_for(timeout=KERNEL_MS)
                return
            self.page.reload()
        raise AssertionError(f"the kernel did not get idle: {status.inner_text()!r}, {self._said}")

    def run_all(self) -> None:
        """Run all cells from the menu, until none is waiting or running any more."""
        self.wait_for_kernel()
        self.page.click("#jp-MainMenu .lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
        self.page.wait_for_function(_FINISHED, timeout=RUN_MS)

    def picture(self, name: str) -> None:
        """Take a screenshot; kept where ``CLNRM_TEST_ARTIFACTS`` names a directory."""
        self.page.screenshot(path=self._pictures / f"{name}.png")

    def own_errors(self, *also_foreign: str) -> list[str]:
        """Errors of the console that are not about the host."""
        foreign = (*FOREIGN_ERRORS, *also_foreign)
        return [
            text
            for kind, text in self._said
            if kind in {"error", "pageerror"} and not any(word in text for word in foreign)
        ]

    def foreign_requests(self) -> list[str]:
        """Addresses beyond this machine that the page asked for."""
        schemes = {"http", "https", "ws", "wss"}
        asked = [(url, urlsplit(url)) for url in self._asked]
        return [url for url, parts in asked if parts.scheme in schemes and parts.hostname != "127.0.0.1"]


@pytest.fixture(scope="module")
def chromium(browser):
    """A browser that fetches nothing of its own."""
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=BROWSER_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def visit(jupyterlab, chromium, tmp_path, request):
    """A :class:`Visit` that ends with its kernels."""
    directory = jupyterlab.directory / re.sub(r"\W+", "-", request.node.name)
    directory.mkdir()
    pictures = Path(os.environ.get("CLNRM_TEST_ARTIFACTS", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(jupyterlab, context.new_page(), directory, pictures)
    yield visit
    if "CLNRM_TEST_ARTIFACTS" in os.environ:
        visit.picture(f"last-{directory.name}")
    visit.page.evaluate("window.jupyterapp?.serviceManager.sessions.shutdownAll()")
    context.close()
    shutil.rmtree(directory, ignore_errors=True)
