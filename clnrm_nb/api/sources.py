"""The files that findings point into, at hand for whoever shows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from clnrm_nb.report.excerpt import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.config.project import Project
    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.pipeline.load import Cell, LoadedTest

__all__ = ["sources_of"]

_LARGEST_BYTES = 4_000_000


def sources_of(
    findings: Iterable[Diagnostic], tests: Iterable[LoadedTest], cell: Cell | None, project: Project
) -> dict[str, Source]:
    """Texts of the files that `findings` name, as they were when they were checked.

    A file no test was read from (an included one, a configuration file) is read now; one that cannot be read
    is left out.
    """
    names = {finding.file for finding in findings if finding.file and finding.line}
    at_hand = {
        test.checked.rendered.file: test.checked.rendered.source for test in tests if test.checked is not None
    }
    if cell is not None:
        at_hand.setdefault(f"cell:{cell.name}", cell.text)
    sources: dict[str, Source] = {}
    for name in sorted(names):
        path = project.root / name
        text = at_hand[name] if name in at_hand else _read(path)
        if text is not None:
            sources[name] = Source(text, None if name.startswith("cell:") else _href(path))
    return sources


def _read(path: Path) -> str | None:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None


def _href(path: Path) -> str | None:
    """The file from where the notebook stands, which is the working directory of its kernel."""
    try:
        return quote(Path(os.path.relpath(path)).as_posix())
    except ValueError:  # Another drive.
        return None
