"""``Diagnostics``: what validation, dry runs and lint found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.text import json_ready, one_line
from clnrm_nb.report.view import HTML_BYTES, View, exit_code_of_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pandas import DataFrame

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.excerpt import Source
    from clnrm_nb.report.text import Mask

__all__ = ["Diagnostics", "Part"]


class Part(Protocol):
    """Something shown between the files and their findings."""

    def lines(self, *, signs: Signs = ..., width: int = ..., verbose: bool = ...) -> list[Line]:
        """For people at a terminal."""

    def html(self) -> str:
        """For a notebook."""


class Diagnostics(View):
    """Findings of ``validate``, ``dry-run``, ``lint`` and their kind.

    Parameters
    ----------
    findings : iterable of Diagnostic
        In any order; shown by file, line, column, code.
    command : str
    files : sequence of mappings, or int
        ``{"file", "outcome": ok | ok-with-warnings | error, "kind"}`` of every file looked at, or how many.
    parts : sequence of Part
        What else the command has to say (the plans of ``dry-run``).
    data : mapping, optional
        The same for the document.
    sources : mapping of str to Source, optional
        The files by the names findings use, so that the lines they are about can be shown.
    deny_warnings : bool
        Warnings give exit status 1.
    exit_code : int, optional
        Default: what the findings say; ``lint`` fails on its own codes too.
    mask : callable, optional
    """

    label = "findings"

    def __init__(
        self,
        findings: Iterable[Diagnostic],
        *,
        command: str = "validate",
        files: Sequence[Mapping[str, Any]] | int = (),
        parts: Sequence[Part] = (),
        data: Mapping[str, Any] | None = None,
        sources: Mapping[str, Source] | None = None,
        deny_warnings: bool = False,
        exit_code: int | None = None,
        mask: Mask | None = None,
    ) -> None:
        self.findings = tuple(sorted(findings, key=lambda finding: finding.sort_key))
        self.parts = tuple(parts)
        self.sources = {
            name: replace(source, text=mask(source.text)) if mask else source
            for name, source in (sources or {}).items()
        }
        documents = [json_ready(finding.to_json(), mask) for finding in self.findings]
        counts = {
            word: sum(f["severity"] == word for f in documents) for word in ("error", "warning", "info")
        }
        number, listed = (files, []) if isinstance(files, int) else (len(files), list(files))
        outcomes = {
            word: sum(f["outcome"] == word for f in listed) for word in ("ok", "ok-with-warnings", "error")
        }
        super().__init__(
            command,
            exit_code=exit_code_of_findings(documents, command, deny=deny_warnings)
            if exit_code is None
            else exit_code,
            summary={
                "files": number,
                **(outcomes if listed else {}),
                **{f"{word}s": count for word, count in counts.items()},
            },
            findings=documents,
            data=json_ready({"files": listed, **(data or {})}, mask),
        )

    @property
    def headline(self) -> str:
        """One sentence on all findings."""
        counts = self.raw["summary"]
        words = [
            f"{counts[f'{word}s']} {word}{'' if counts[f'{word}s'] == 1 else 's'}"
            for word in ("error", "warning", "info")
            if counts[f"{word}s"]
        ]
        checked = f"{counts['files']} file{'' if counts['files'] == 1 else 's'}"
        return f"{checked}: {', '.join(words) or 'no findings'}" if counts["files"] else ", ".join(words)

    @property
    def code(self) -> str | None:
        """The code of the first error."""
        return next((f["code"] for f in self.raw["diagnostics"] if f["severity"] == "error"), None)

    @property
    def frame(self) -> DataFrame:
        """One row a finding (``format.md`` 12)."""
        from clnrm_nb.report.frames import diagnostics_frame

        return diagnostics_frame(self.raw["diagnostics"])

    def lines(self, *, signs: Signs = UNICODE, width: int = 100, verbose: bool = False) -> list[Line]:
        """See the base."""
        from clnrm_nb.report.resulttext import finding_lines

        lines: list[Line] = []
        for file in self.raw["data"]["files"]:
            sign = signs.status.get(file["outcome"], "")
            lines.append(line((f"{sign} {file['outcome']:<17}", file["outcome"]), one_line(file["file"])))
        for part in self.parts:
            lines += [line(), *part.lines(signs=signs, width=width, verbose=verbose)]
        if self.parts:
            lines.append(line())
        for finding in self.raw["diagnostics"]:
            source = self.sources.get(finding["file"] or "")
            lines += finding_lines(finding, signs=signs, width=width, source=source)
        lines.append(line((self.headline, "bold"), (self._fixable, "dim")))
        if self.raw["diagnostics"]:
            first = self.code or self.raw["diagnostics"][0]["code"]
            lines.append(line((f"clnrm explain {first} says what it means, with an example", "dim")))
        return lines

    @property
    def _fixable(self) -> str:
        """How many findings which command repairs."""
        fixes = [f["fix"] for f in self.raw["diagnostics"] if f.get("fix")]
        safe = sum(fix["safe"] for fix in fixes)
        if not safe:
            return f" ({len(fixes)} fixable: clnrm lint --fix --unsafe-fixes)" if fixes else ""
        more = f"; {len(fixes)} with --unsafe-fixes" if len(fixes) > safe else ""
        return f" ({safe} fixable: clnrm lint --fix{more})"

    def html(self) -> str:
        """See the base."""
        from clnrm_nb.report.resultview import findings_html, outcome_rows

        files = outcome_rows(self.raw["data"]["files"])
        parts = "".join(part.html() for part in self.parts)
        headline = self.headline + self._fixable
        found = findings_html(self.raw["diagnostics"], headline, HTML_BYTES // 2, self.sources)
        return files + parts + found

    def _makers(self) -> dict[str, Any]:
        from clnrm_nb.report.documents import MIME, diagnostics_document

        return {MIME["diagnostics"]: lambda: diagnostics_document(self.raw), **super()._makers()}
