"""``Edited``: what ``fmt``, ``migrate`` and ``lint --fix`` did to files, or would do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.patch import split_lines, unified_diff
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, number_text, one_line
from clnrm_nb.report.view import HTML_BYTES, View, exit_code_of_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.text import Mask

__all__ = ["EditStatus", "Edited", "EditedFile"]

EditStatus = Literal["unchanged", "changed", "would-change", "error"]

_STATUSES: Final = ("error", "changed", "would-change", "unchanged")
_FRAME: Final[Mapping[str, Any]] = {
    "file": "string",
    "status": _STATUSES,
    "fixes": "Int64",
    "notes": "string",
    "diff": "string",
}
_SIGNS: Final = {"error": "error", "changed": "changed", "would-change": "changed", "unchanged": "same"}
"""The sign of each status, by its name in :class:`~clnrm_nb.report.signs.Signs`."""
_DIFF_STYLES: Final = {"+": "added", "-": "missing", "@": "dim"}
_DIFF_TAGS: Final = {"+": "ins", "-": "del"}


@dataclass(frozen=True, slots=True)
class EditedFile:
    """One file of the answer.

    Parameters
    ----------
    file : str
        POSIX path from the project root.
    status : {"unchanged", "changed", "would-change", "error"}
        ``would-change`` where nothing may be written (``--check``, ``--diff``); ``error`` where the file
        could not be read, understood or written, and is as it was.
    before, after : str
        Its text; used for the diff.
    fixes : int
        How many repairs the new text holds; 0 for ``fmt``.
    notes : sequence of str
        What a person should know about this file, a sentence each.
    """

    file: str
    status: EditStatus
    before: str = ""
    after: str = ""
    fixes: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


class Edited(View):
    r"""What a command that edits files did or would do.

    Exit status (``format.md`` 11.2): what the findings say, at least 1 where a file would change.

    Parameters
    ----------
    files : sequence of EditedFile
        In the order of the report.
    command : str
    findings : iterable of Diagnostic
        What is wrong and stays so.
    with_diff : bool
        Show what changes, line by line (``--diff``).
    deny_warnings : bool
        Warnings give exit status 1.
    mask : callable, optional

    Examples
    --------
    >>> edited = Edited([EditedFile("a.clnrm.toml", "would-change", "a=1\n", "a = 1\n")], command="fmt")
    >>> edited.exit_code, edited.headline
    (1, '1 file would change')
    """

    label = "edited files"

    def __init__(
        self,
        files: Sequence[EditedFile],
        *,
        command: str,
        findings: Iterable[Diagnostic] = (),
        with_diff: bool = False,
        deny_warnings: bool = False,
        mask: Mask | None = None,
    ) -> None:
        ordered = sorted(findings, key=lambda finding: finding.sort_key)
        documents = [json_ready(finding.to_json(), mask) for finding in ordered]
        counts = Counter(file.status for file in files)
        exit_code = exit_code_of_findings(documents, command, deny=deny_warnings)
        if counts["would-change"]:
            exit_code = max(exit_code, 1)
        super().__init__(
            command,
            exit_code=exit_code,
            summary={
                "files": len(files),
                **{status.replace("-", "_"): counts[status] for status in reversed(_STATUSES)},
                "fixes": sum(file.fixes for file in files),
            },
            findings=documents,
            data=json_ready({"files": [_document(file, with_diff=with_diff) for file in files]}, mask),
        )

    @property
    def headline(self) -> str:
        """One sentence on all files, and on what is still wrong."""
        counts = self.raw["summary"]
        words = [
            f"{number_text(counts['changed'], 'file')} changed",
            f"{number_text(counts['would_change'], 'file')} would change",
            f"{number_text(counts['unchanged'], 'file')} unchanged",
            f"{number_text(counts['error'], 'file')} with errors",
        ]
        told = [word for word in words if not word.startswith("0 ")]
        return (", ".join(told) or "no files") + self._remaining

    @property
    def _remaining(self) -> str:
        """Why the command may fail although files were repaired."""
        counts = Counter(finding["severity"] for finding in self.raw["diagnostics"])
        words = [number_text(counts[word], word) for word in ("error", "warning", "info") if counts[word]]
        return f"; {', '.join(words)} {'remains' if counts.total() == 1 else 'remain'}" if words else ""

    @property
    def code(self) -> str | None:
        """The code of the first error; CLN508 where only the layout is not what it should be."""
        errors = (f["code"] for f in self.raw["diagnostics"] if f["severity"] == "error")
        return next(errors, "CLN508" if self.raw["summary"]["would_change"] else None)

    @property
    def diff(self) -> str:
        """All changes as one patch; empty unless the diff was asked for."""
        return "".join(file["diff"] for file in self.raw["data"]["files"])

    @property
    def frame(self) -> DataFrame:
        """One row a file: ``file, status, fixes, notes, diff``."""
        from clnrm_nb.report.frames import frame_of

        rows = [{**file, "notes": "\n".join(file["notes"])} for file in self.raw["data"]["files"]]
        return frame_of(_FRAME, rows)

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """What changed; unchanged files only with `verbose`."""
        from clnrm_nb.report.resulttext import finding_lines

        lines: list[Line] = []
        for file in self.raw["data"]["files"]:
            lines += _patch_lines(file["diff"])
            if verbose or file["notes"] or file["status"] != "unchanged":
                lines += _file_lines(file, signs)
        for finding in self.raw["diagnostics"]:
            lines += finding_lines(finding, signs=signs, width=width)
        return [*lines, line((self.headline, "bold"))]

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.html import Weighed, details, escape, table
        from clnrm_nb.report.resultview import findings_html

        files = self.raw["data"]["files"]
        rows = Weighed(map(_row, files), len(files), 20_000)
        overview = table("", ("status", "file", "notes"), rows) + rows.note("(all of them: .frame)")
        with_diff = [file for file in files if file["diff"]]
        patches = Weighed(
            (
                details(escape(file["file"]), _patch_html(file["diff"]), is_open=len(with_diff) == 1)
                for file in with_diff
            ),
            len(with_diff),
            HTML_BYTES // 2,
        )
        findings = findings_html(self.raw["diagnostics"], self.headline, 20_000)
        return (overview if files else "") + "".join(patches) + patches.note("diffs (.diff)") + findings


def _document(file: EditedFile, *, with_diff: bool) -> dict[str, Any]:
    diff = unified_diff(file.file, file.before, file.after) if with_diff else ""
    return {
        "file": file.file,
        "status": file.status,
        "fixes": file.fixes,
        "notes": list(file.notes),
        "diff": diff,
    }


def _file_lines(file: Mapping[str, Any], signs: Signs) -> list[Line]:
    word = _SIGNS[file["status"]]
    fixes = f"  ({_fixes_text(file)})" if file["fixes"] else ""
    head = line((f"{signs.status[word]} {file['status']:<12} ", word), one_line(file["file"]), (fixes, "dim"))
    return [head, *(line(("  note  ", "dim"), one_line(note)) for note in file["notes"])]


def _fixes_text(file: Mapping[str, Any]) -> str:
    return "1 fix" if file["fixes"] == 1 else f"{file['fixes']:,} fixes"


def _patch_lines(diff: str) -> list[Line]:
    """A patch; signs say what colours say."""
    lines: list[Line] = []
    for text in split_lines(diff):
        is_header = text.startswith(("--- ", "+++ ")) and len(lines) < 2  # noqa: PLR2004  # The first two.
        style = "bold" if is_header else _DIFF_STYLES.get(text[0], "")
        lines.append(line((one_line(text.removesuffix("\n")), style)))
    return lines


def _patch_html(diff: str) -> str:
    from clnrm_nb.report.html import escape_block

    longest = HTML_BYTES // 4
    note = f"<p>showing {longest:,} of {len(diff):,} characters</p>" if len(diff) > longest else ""
    rows = []
    for number, text in enumerate(split_lines(diff[:longest])):
        tag = "" if number < 2 else _DIFF_TAGS.get(text[0], "")  # noqa: PLR2004  # The two lines of the header.
        shown = escape_block(text.removesuffix("\n"), longest)
        rows.append(f"<{tag}>{shown}</{tag}>" if tag else shown)
    return "<pre class=src dir=ltr>" + "\n".join(rows) + f"</pre>{note}"


def _row(file: Mapping[str, Any]) -> str:
    from clnrm_nb.report.html import escape, status

    notes = "; ".join([*([_fixes_text(file)] if file["fixes"] else []), *file["notes"]])
    return (
        f"<tr><td>{status(file['status'])}</td><th scope=row dir=auto>{escape(file['file'])}</th>"
        f"<td dir=auto>{escape(notes)}</td></tr>"
    )
