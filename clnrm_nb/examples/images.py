"""The images of the examples, made without a registry: ``python -m clnrm_nb.examples.images [NAME…]``.

``clnrm-demo-python:local`` holds the Python that runs this module, its standard library and the
OpenTelemetry packages installed beside it; ``clnrm-demo-redis:local`` a real Redis, the one installed here
or the one of the distribution's package, extracted and not installed. Both are packed from this machine's
files in seconds and made again only when one of these files changed (a label holds their digest).

Where this machine is no Linux, or another kind of processor than the engine's, its files are of no use
there: then the same images are built from public ones, which needs a registry.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clnrm_nb.examples.packing import RootFilesystem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docker import DockerClient
    from docker.models.images import Image as EngineImage

__all__ = ["NAMES", "Image", "ImageError", "engine", "ensure", "tag_of"]

_EXPORTER: Final = "opentelemetry-exporter-otlp-proto-http"
_LABEL: Final = "clnrm_nb.demo.inputs"
_PACKAGES: Final = "opt/packages"
# What a person, a health check or a step may want in a container beside the program itself.
_TOOLS: Final = (
    "sh", "cat", "cp", "env", "false", "head", "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mv", "ps", "rm",
    "setsid", "sleep", "sort", "stat", "tail", "tar", "test", "timeout", "touch", "tr", "true", "wc",
)  # fmt: skip
_UNUSED_MODULES: Final = frozenset(
    {
        "config-*",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "site-packages",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    }
)
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageError(Exception):
    """An image cannot be made here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image after :func:`ensure`. ``made``: it was not there yet, or not of these inputs."""

    tag: str
    made: bool
    size_mb: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Recipe:
    tag: str
    pack: Callable[[ExitStack], RootFilesystem]
    dockerfile: str


def engine() -> DockerClient:
    """The engine that a run would take by default; it has answered.

    Raises
    ------
    docker.errors.DockerException
        None answers.
    BackendUnavailableError
        CLN601: the docker context that was chosen does not exist.
    """
    import docker

    from clnrm_nb.executor.backends.docker.address import candidates

    for address in candidates(""):
        client = docker.DockerClient(base_url=address.url, tls=address.tls or False)
        client.ping()
        return client
    raise docker.errors.DockerException("no engine's socket is here, and DOCKER_HOST is not set")


def tag_of(name: str) -> str:
    """Tag of the image called `name` (``python`` or ``redis``)."""
    return _RECIPES[name].tag


def ensure(names: Iterable[str], client: DockerClient) -> list[Image]:
    """Make the named images in the engine of `client`, those that are missing or of older inputs.

    Raises
    ------
    ImageError
        A program to pack is not here and cannot be fetched.
    """
    return [_ensure(_RECIPES[name], client) for name in names]


def _ensure(recipe: _Recipe, client: DockerClient) -> Image:
    started = time.monotonic()
    if _fits_here(client):
        with ExitStack() as stack:
            made = _import(recipe, recipe.pack(stack), client)
    else:
        made = _build(recipe, client)
    size_mb = client.images.get(recipe.tag).attrs["Size"] / 1e6
    return Image(recipe.tag, made, size_mb, time.monotonic() - started)


def _fits_here(client: DockerClient) -> bool:
    """Whether programs of this machine run in containers of the engine."""
    machine = platform.machine()
    architecture: str = client.version()["Arch"]
    return sys.platform == "linux" and architecture == _ARCHITECTURES.get(machine, machine)


def _import(recipe: _Recipe, root: RootFilesystem, client: DockerClient) -> bool:
    digest = root.digest()
    present = _find(recipe.tag, client)
    if present is not None and present.labels.get(_LABEL) == digest:
        return False
    repository, tag = recipe.tag.split(":")
    changes = [
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"ENV LD_LIBRARY_PATH={':'.join(root.library_directories())}",
        f"ENV PYTHONPATH=/{_PACKAGES} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
        "WORKDIR /app",
        f"LABEL {_LABEL}={digest}",
    ]
    with tempfile.NamedTemporaryFile(prefix="clnrm-image-", suffix=".tar") as archive:
        root.write(archive)
        archive.flush()
        client.api.import_image_from_file(archive.name, repository=repository, tag=tag, changes=changes)
    if present is not None:
        _discard(present, client)
    return True


def _build(recipe: _Recipe, client: DockerClient) -> bool:
    present = _find(recipe.tag, client)
    if present is not None and present.labels.get(_LABEL) == recipe.dockerfile:
        return False
    client.images.build(
        fileobj=io.BytesIO(recipe.dockerfile.encode()),
        tag=recipe.tag,
        labels={_LABEL: recipe.dockerfile},
        rm=True,
    )
    return True


def _find(tag: str, client: DockerClient) -> EngineImage | None:
    from docker.errors import ImageNotFound

    try:
        return client.images.get(tag)
    except ImageNotFound:
        return None


def _discard(replaced: EngineImage, client: DockerClient) -> None:
    """Remove the image that lost its tag; one that a container still uses is left to its owner."""
    from docker.errors import APIError

    with suppress(APIError):
        client.images.remove(str(replaced.id))


def _pack_python(_stack: ExitStack) -> RootFilesystem:
    """The interpreter behind this one (a virtual environment has only a link to it) and what it imports."""
    root = RootFilesystem()
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    root.add_file(interpreter)
    for name in ("python", "python3"):
        root.add_link(f"usr/local/bin/{name}", str(interpreter))
    root.add_tree(Path(os.__file__).parent, without=_UNUSED_MODULES)
    for distribution in _with_requirements(_EXPORTER):
        _add_distribution(root, distribution)
    _add_tools(root)
    root.add_libraries()
    return root


def _with_requirements(name: str) -> list[metadata.Distribution]:
    """The installed distribution and everything it needs, extras left out."""
    waiting, found = [name], {}
    while waiting:
        key = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if key in found:
            continue
        try:
            found[key] = metadata.distribution(key)
        except metadata.PackageNotFoundError:
            if key == name:
                raise ImageError(f"{name} is not installed: pip install 'clnrm_nb[demo]'") from None
            continue  # Needed on other systems or versions only.
        needed = (text for text in found[key].requires or () if "extra ==" not in text)
        waiting.extend(re.split(r"[\s<>=!~;\[(]", text, maxsplit=1)[0] for text in needed)
    return list(found.values())


def _add_distribution(root: RootFilesystem, distribution: metadata.Distribution) -> None:
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        if ".." not in file.parts and source.is_file():
            root.add_file(source, f"{_PACKAGES}/{file}")


def _pack_redis(stack: ExitStack) -> RootFilesystem:
    """The Redis installed here, else the one of the distribution's package."""
    if shutil.which("redis-server") and shutil.which("redis-cli"):
        root = RootFilesystem()
        programs = [shutil.which(name) for name in ("redis-server", "redis-cli")]
    else:
        origin = _extract_packages(("redis-server", "redis-tools"), stack)
        root = RootFilesystem([origin])
        programs = [str(origin / "usr/bin" / name) for name in ("redis-server", "redis-cli")]
    for program in programs:
        root.add_file(Path(str(program)))
    _add_tools(root)
    root.add_libraries()
    return root


def _extract_packages(names: Sequence[str], stack: ExitStack) -> Path:
    """Fetch packages, with what of theirs is missing here, into a directory that lasts as long as `stack`."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ImageError("there is no redis-server here: install it, for example from your distribution")
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clnrm-packages-")))
    (directory / "partial").mkdir()
    fetch = [
        "apt-get", "install", "--download-only", "--yes", "--no-install-recommends", "--quiet=2",
        "-o", f"Dir::Cache::archives={directory}", "-o", "Debug::NoLocking=1", *names,
    ]  # fmt: skip
    done = subprocess.run(fetch, capture_output=True, text=True, check=False)
    packages = sorted(directory.glob("*.deb"))
    if done.returncode or not packages:
        raise ImageError(
            f"apt-get could not fetch {' '.join(names)}: {done.stderr.strip() or 'nothing came'}"
        )
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", str(package), str(directory / "root")], check=True)
    return directory / "root"


def _add_tools(root: RootFilesystem) -> None:
    for name in _TOOLS:
        found = shutil.which(name)
        if found:
            root.add_file(Path(found), f"usr/bin/{name}")


_RECIPES: Final = {
    "python": _Recipe(
        "clnrm-demo-python:local",
        _pack_python,
        f"FROM python:3.12-slim\nRUN pip install --no-cache-dir {_EXPORTER}\nWORKDIR /app\n",
    ),
    "redis": _Recipe("clnrm-demo-redis:local", _pack_redis, "FROM redis:7-alpine\n"),
}

NAMES: Final = tuple(_RECIPES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the named images (all without a name) in the engine that ``DOCKER_HOST`` names."""
    import docker

    parser = argparse.ArgumentParser(prog="python -m clnrm_nb.examples.images", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{' or '.join(NAMES)} (default: all)")
    names = parser.parse_args(arguments).names or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"no image is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    try:
        with closing(engine()) as client:
            for image in ensure(names, client):
                how = f"made in {image.duration_s:.1f} s" if image.made else "up to date"
                click.echo(f"{image.tag}  {how}, {image.size_mb:.0f} MB")
    except ImageError as error:
        click.echo(f"no image made: {error}", err=True)
        return 1
    except docker.errors.DockerException as error:
        click.echo(f"no image made: No Docker engine answers ({error})", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
