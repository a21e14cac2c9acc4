"""Make the README's picture from a real run: ``make picture``.

Runs the quickstart example (in Docker where an engine answers, else from its recording), takes what the
terminal would show, and draws it as an SVG that loads nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from docker.errors import DockerException
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from clnrm_nb.examples import images

ROOT = Path(__file__).parents[1]
EXAMPLE = "clnrm_nb/examples/quickstart"
SCENARIO = f"{EXAMPLE}/quickstart.clnrm.toml.tera::in-stock"
PICTURE = ROOT / "docs" / "quickstart.svg"
COLUMNS = 104
# Black, red, green, yellow, blue, magenta, cyan, white; then the bright ones.
THEME = TerminalTheme(
    (18, 18, 22),
    (222, 222, 222),
    [
        (30, 30, 36),
        (244, 90, 110),
        (135, 211, 84),
        (245, 184, 73),
        (110, 160, 245),
        (197, 134, 230),
        (95, 200, 210),
        (222, 222, 222),
    ],
    [
        (140, 140, 148),
        (255, 120, 135),
        (160, 230, 110),
        (255, 210, 110),
        (140, 185, 255),
        (215, 160, 245),
        (130, 220, 230),
        (255, 255, 255),
    ],
)
# Rich's own template loads a font from the network; this one takes what the reader has.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def main() -> int:
    """Run, draw, write."""
    where = _backend()
    shown = [f"$ clnrm run {EXAMPLE}", _clnrm("run", EXAMPLE, *where)]
    shown += [f"$ clnrm graph {SCENARIO}", _clnrm("graph", SCENARIO)]
    PICTURE.write_text(drawn("\n".join(part.rstrip() + "\n" for part in shown)), encoding="utf-8")
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1000:.0f} kB\n")
    return 0


def drawn(terminal: str) -> str:
    """An SVG of what a terminal shows, escape sequences included."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(terminal), soft_wrap=True)
        svg = console.export_svg(title="clnrm", theme=THEME, code_format=TEMPLATE, unique_id="clnrm")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _backend() -> list[str]:
    try:
        with closing(images.engine()) as client:
            images.ensure(["python"], client)
    except DockerException:
        return ["--replay", f"{EXAMPLE}/recording.json", "--allow-not-evaluated"]
    return []


def _clnrm(*words: str) -> str:
    environment = dict(os.environ, COLUMNS=str(COLUMNS), LANG="C.UTF-8")
    command = [sys.executable, "-m", "clnrm_nb", "--color", "always", *words]
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
