"""The checks of ``clnrm doctor``: each looks at one thing and says what to do where it is missing."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from clnrm_nb.errors import ClnrmError
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clnrm_nb.api.contexts import Context

__all__ = ["Finding", "run_checks"]

# A runc up to these is open to published container escapes (CVE-2024-21626; CVE-2025-31133, -52565, -52881).
_FIXED_RUNC = "1.2.8"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``state`` is ok, warning or missing."""

    check: str
    state: str
    detail: str
    advice: str = ""


async def run_checks(here: Context) -> list[Finding]:
    """All checks, in the order of the report."""
    checks: list[Callable[[Context], Awaitable[list[Finding]]]] = [
        _python,
        _project,
        _receiver,
        _engine,
        _notebook,
    ]
    return [finding for check in checks for finding in await check(here)]


async def _python(_: Context) -> list[Finding]:
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return [Finding("clnrm_nb", "ok", f"{__version__} on {system}")]


async def _project(here: Context) -> list[Finding]:
    rows = [Finding("project", "ok", str(here.project.root))]
    state = here.project.state_dir
    place = state if state.exists() else state.parent
    if os.access(place, os.W_OK):
        rows.append(Finding("state", "ok", str(state)))
    else:
        advice = "Runs work, but leave no history; try --state-dir DIR."
        rows.append(Finding("state", "warning", f"{state} is not writable", advice))
    rows += [Finding("configuration", "warning", str(finding)) for finding in here.settings.diagnostics]
    return rows


async def _receiver(here: Context) -> list[Finding]:
    from clnrm_nb.spans.receiver import Receiver

    receiver = Receiver()
    try:
        await receiver.start(here.settings.receiver.port)
    except (OSError, ClnrmError) as error:
        advice = "Set receiver.port to a free port, or 0."
        return [Finding("receiver", "missing", f"cannot listen on loopback: {error}", advice)]
    await receiver.stop()
    return [Finding("receiver", "ok", "OTLP/HTTP on loopback")]


async def _engine(here: Context) -> list[Finding]:
    from clnrm_nb.executor.backends.docker.engine import Engine

    try:
        engine = await Engine.connect(here.settings.executor.docker_host)
    except ClnrmError as error:
        advice = error.hint or "Start Docker, or use --backend process (not hermetic)."
        return [Finding("engine", "missing", error.message, advice)]
    try:
        about = await engine.call(engine.client.version)
        image = here.settings.containers.default_image
        has_image = bool(await engine.call(engine.client.images, name=image))
    finally:
        engine.close()
    shown = f"{about['Version']} (API {about['ApiVersion']}) at {engine.address.url}"
    rows = [Finding("engine", "ok", shown), *_runc(about)]
    if has_image:
        return [*rows, Finding("default image", "ok", image)]
    advice = "It is pulled when a test needs it; see containers.default_image."
    return [*rows, Finding("default image", "warning", f"{image} is not on this machine", advice)]


def _runc(about: dict[str, Any]) -> list[Finding]:
    parts = {part.get("Name"): part.get("Version", "") for part in about.get("Components", [])}
    found = parts.get("runc", "")
    if not found or _numbers(found) >= _numbers(_FIXED_RUNC):
        return []
    advice = "By its number it has known container escapes; see whether its package has the repairs."
    return [Finding("runc", "warning", found, advice)]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)[:3]]


async def _notebook(_: Context) -> list[Finding]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("ipykernel", "jupyterlab", "papermill"))
    return [Finding("notebook", "ok", f"{packages}; python {sys.executable}")]
