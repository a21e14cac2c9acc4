"""The text of a file, and whether markers mean something in it (``format.md`` 2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic

if TYPE_CHECKING:
    from clnrm_nb.template.model import TemplateRequest

__all__ = ["is_library", "is_templated", "read_source"]

_PRAGMA: Final = "# clnrm: no-template"
_MARKERS: Final = ("{{", "{%", "{#")


def is_library(file: str) -> bool:
    """Whether a file is a template library, by its name."""
    return file.rpartition("/")[2].startswith("_")


def is_templated(request: TemplateRequest, source: str) -> bool:
    """Whether markers mean something in this file (``format.md`` 2.1)."""
    if request.file.endswith(".tera"):
        return True
    first_line = source.partition("\n")[0].rstrip()
    if request.no_template or first_line == _PRAGMA:
        return False
    return any(marker in source for marker in _MARKERS)


def read_source(request: TemplateRequest) -> tuple[str, Diagnostic | None]:
    """The text, without a byte order mark; or what keeps it from being read."""
    if request.text is not None:
        return request.text.removeprefix("\ufeff"), None
    try:
        content = request.path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        reason = {"no such file or directory": "no such file"}.get(reason, reason)
        return "", Diagnostic("CLN001", f"cannot read `{request.file}`: {reason}", file=request.file)
    try:
        return content.decode("utf-8").removeprefix("\ufeff"), None
    except UnicodeDecodeError as error:
        return "", _not_utf8(request.file, content, error)


def _not_utf8(file: str, content: bytes, error: UnicodeDecodeError) -> Diagnostic:
    before = content[: error.start].decode("utf-8", "replace")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    message = f"byte 0x{content[error.start]:02x} at offset {error.start} is not UTF-8"
    return Diagnostic("CLN002", message, file=file, line=line, column=column, hint="save the file as UTF-8")
