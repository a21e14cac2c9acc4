"""The demo: ``python -m clnrm_nb.examples`` runs the examples for somebody who has never seen them run.

In Docker where an engine answers; else quickstart alone, as processes of this machine, which it says. Every
command it runs is printed first, so that the next one can be typed by hand.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from clnrm_nb.config.project import find_project, safe_name
from clnrm_nb.examples import NAMES, directory, images, lay_down

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_HERMETIC: Final = """\
No Docker engine answers ({reason}).
Running quickstart as processes of this machine instead. That is NOT hermetic: the services share this
machine's network and files, and whatever claims isolation is reported as not evaluated.
"""

_SCENARIOS: Final = {"quickstart": "in-stock", "shop": "buy"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the examples and show their spans."""
    parser = argparse.ArgumentParser(prog="python -m clnrm_nb.examples", description=main.__doc__)
    parser.add_argument("--record", action="store_true", help="keep each run as the example's recording.json")
    options = parser.parse_args(arguments)
    try:
        client = images.engine()
    except Exception as error:  # noqa: BLE001  # Whatever the reason: there is no engine, and it is shown.
        if options.record:
            click.echo(f"recordings are made in Docker, and no engine answers ({error})", err=True)
            return 1
        click.echo(_NOT_HERMETIC.format(reason=_first_line(error)))
        return _show(["quickstart"], "--backend", "process", "--allow-not-evaluated")
    with closing(client):
        click.echo("A Docker engine answers: both examples run in containers, each in a network of its own.")
        for image in images.ensure(images.NAMES, client):
            click.echo(
                f"  image {image.tag} {'made' if image.made else 'up to date'} ({image.duration_s:.1f} s)"
            )
    status = _show(NAMES)
    if options.record and status == 0:
        _keep_recordings()
    return status


def _show(names: Sequence[str], *options: str) -> int:
    """Run the examples together, then print the span tree of one scenario of each."""
    # Each time for real: who asks for a demonstration, or for recordings, has no use for what is stored.
    status = _clnrm("run", *(str(_place(name)) for name in names), "--force", *options)
    for name in names:
        _clnrm("graph", f"{_test_id(name)}::{_SCENARIOS[name]}")
    return status


def _place(name: str) -> Path:
    """The example's directory relative to here; an installed package's is copied to ``clnrm-demo`` first.

    Mounted directories must lie inside the project, and nobody's site-packages should be one.
    """
    here = Path.cwd()
    if directory(name).is_relative_to(here):
        return directory(name).relative_to(here)
    lay_down(name, here / "clnrm-demo")
    return Path("clnrm-demo", name)


def _test_id(name: str) -> str:
    return find_project(Path.cwd()).relative(Path.cwd() / _place(name) / f"{name}.clnrm.toml.tera")


def _clnrm(*words: str) -> int:
    click.echo(f"\n$ clnrm {shlex.join(words)}")
    return subprocess.run([sys.executable, "-m", "clnrm_nb", *words], check=False).returncode


def _keep_recordings() -> None:
    artifacts = find_project(Path.cwd()).state_dir / "artifacts"
    for name in NAMES:
        kept = _place(name) / "recording.json"
        shutil.copyfile(artifacts / safe_name(_test_id(name)) / "recording.json", kept)
        click.echo(f"{kept}: {kept.stat().st_size / 1000:.0f} kB")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
