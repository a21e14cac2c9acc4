"""What an executed notebook keeps: the durable documents of its outputs, and how its cells ended.

Read from the file's JSON alone, so that a later notebook or a test needs nothing but this package. Cells are
numbered as in the notebook a person wrote: those that papermill adds are not counted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["CellError", "NotebookError", "SavedDocument", "SavedNotebook", "read_notebook"]

_MIME: Final = re.compile(r"application/vnd\.clnrm\.([a-z]+)\.v(\d+)\+json")
_KNOWN_VERSION: Final = 1
_ADDED_BY_PAPERMILL: Final = frozenset({"injected-parameters", "papermill-error-cell-tag"})


class NotebookError(ValueError):
    """A file is no notebook, or holds documents of a newer version of this package."""


@dataclass(frozen=True, slots=True)
class SavedDocument:
    """One durable output.

    Parameters
    ----------
    cell : int
        Index of its cell in the notebook as it was written, from 0.
    kind : str
        ``trace``, ``diff``, ``result`` or ``diagnostics``.
    document : dict
        See ``clnrm_nb/schemas``.
    text : str
        The same as plain text.
    may_fail : bool
        Its cell is tagged ``raises-exception``.
    """

    cell: int
    kind: str
    document: dict[str, Any]
    text: str = ""
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class CellError:
    """The exception a cell ended with."""

    cell: int
    name: str
    message: str
    may_fail: bool = False

    @property
    def is_clean_stop(self) -> bool:
        """Whether the notebook was ended on purpose: ``%clnrm guard``, ``sys.exit()``."""
        return self.name == "SystemExit" and self.message in {"", "0", "None"}


@dataclass(frozen=True, slots=True)
class SavedNotebook:
    """See the module."""

    documents: list[SavedDocument] = field(default_factory=list)
    errors: list[CellError] = field(default_factory=list)
    skip_reason: str | None = None
    duration_ms: float = 0.0
    has_parameters_cell: bool = False


def read_notebook(path: Path) -> SavedNotebook:
    """Read an executed (or any other) notebook.

    Raises
    ------
    NotebookError
        It cannot be read, is no notebook, or holds a document of a newer version.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotebookError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise NotebookError(f"{path} is no notebook: {error}") from None
    if not isinstance(raw, dict) or "nbformat" not in raw:
        raise NotebookError(f"{path} is no notebook: it has no `nbformat`")
    # Before version 4 cells stand in worksheets; papermill writes version 4, whatever it read.
    cells = [cell for cell in raw.get("cells", ()) if isinstance(cell, dict)]
    saved = SavedNotebook(
        duration_ms=_duration_ms(raw),
        has_parameters_cell=any("parameters" in _tags(cell) for cell in cells),
    )
    written = [cell for cell in cells if not _ADDED_BY_PAPERMILL & set(_tags(cell))]
    skip_reason = None
    for index, cell in enumerate(written):
        may_fail = "raises-exception" in _tags(cell)
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                message = str(output.get("evalue", ""))
                saved.errors.append(CellError(index, str(output.get("ename", "")), message, may_fail))
            saved.documents.extend(_documents(path, index, output, may_fail=may_fail))
            skip_reason = output.get("metadata", {}).get("clnrm", {}).get("skipped", skip_reason)
    return SavedNotebook(
        saved.documents, saved.errors, skip_reason, saved.duration_ms, saved.has_parameters_cell
    )


def _documents(
    path: Path, cell: int, output: Mapping[str, Any], *, may_fail: bool
) -> Iterator[SavedDocument]:
    data = output.get("data", {})
    for mime, document in data.items():
        named = _MIME.fullmatch(mime)
        if named is None:
            continue
        if int(named[2]) > _KNOWN_VERSION:
            raise NotebookError(f"{path} holds {mime}, which needs a newer clnrm_nb")
        if isinstance(document, dict):
            text = data.get("text/plain", "")
            whole = text if isinstance(text, str) else "".join(text)
            yield SavedDocument(cell, named[1], document, whole, may_fail)


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags = cell.get("metadata", {}).get("tags", ())
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def _duration_ms(raw: Mapping[str, Any]) -> float:
    seconds = raw.get("metadata", {}).get("papermill", {}).get("duration")
    return float(seconds) * 1_000 if isinstance(seconds, int | float) else 0.0
