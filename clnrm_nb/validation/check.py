"""One validator for every command: render → parse → schema → references → cycles → the rest.

A stage that fails stops only the stages that need its output, so one call gives all findings of a file,
sorted, each at the place a person typed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.errors import Diagnostic, Location
from clnrm_nb.scenario.build import draft
from clnrm_nb.scenario.findings import Findings, locate_all
from clnrm_nb.scenario.parse import Parsed, parse
from clnrm_nb.validation.consequences import without_consequences
from clnrm_nb.validation.cycles import check_cycles
from clnrm_nb.validation.markers import with_fixes
from clnrm_nb.validation.partial import render_rest
from clnrm_nb.validation.plausibility import check_plausibility
from clnrm_nb.validation.references import check_references
from clnrm_nb.validation.silence import unsilenced
from clnrm_nb.validation.style import check_order, check_spacing, check_style
from clnrm_nb.validation.surroundings import check_surroundings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from clnrm_nb.scenario.findings import Part
    from clnrm_nb.scenario.model import KeyPath, TestFile
    from clnrm_nb.template import Rendered
    from clnrm_nb.validation.partial import Partial

__all__ = ["Checked", "check"]

FileKind = Literal["scenario", "library", "coverage"]
Outcome = Literal["ok", "ok-with-warnings", "error"]

_COVERAGE_TABLES: Final = frozenset(("system", "dimensions"))


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known about one rendered file.

    Parameters
    ----------
    rendered : Rendered
        The file.
    parsed : Parsed or None
        Its document; ``None`` where there was no text to parse.
    test : TestFile or None
        The typed file; ``None`` where there is an error, and for what is no scenario file.
    diagnostics : list of Diagnostic
        All findings, sorted by line, column and code.
    kind : {"scenario", "library", "coverage"}
        What the file is.
    """

    rendered: Rendered
    parsed: Parsed | None = None
    test: TestFile | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    kind: FileKind = "scenario"

    @property
    def outcome(self) -> Outcome:
        """``error`` with any error, ``ok-with-warnings`` with any warning; infos do not count."""
        severities = {finding.severity for finding in self.diagnostics}
        if "error" in severities:
            return "error"
        return "ok-with-warnings" if "warning" in severities else "ok"

    def locate(self, path: KeyPath, part: Part = "value") -> Location:
        """Where a key path stands in the file a person edits; line 1 where it stands nowhere."""
        if self.parsed is None:
            return Location(self.rendered.file)
        return self.parsed.locate(path, part)


def check(
    rendered: Rendered,
    *,
    strict_toml: str = "1.1",
    known_spans: Collection[str] = (),
    style: bool = False,
) -> Checked:
    """Check a rendered file.

    Parameters
    ----------
    rendered : Rendered
        What the template layer made of the file; its findings are taken over.
    strict_toml : {"1.1", "1.0"}
        ``"1.0"`` refuses what only TOML 1.1 knows (CLN203).
    known_spans : collection of str
        Span names of the accepted baseline or the last stored trace, which expectations may name (CLN414).
    style : bool
        Also report what is not wrong and could be better (CLN501 to CLN508), for ``lint`` and editors.

    Returns
    -------
    Checked
        Never raises for what a file holds.
    """
    if rendered.library:
        info = Diagnostic("CLN006", "library file, syntax checked only", rendered.file, 1, 1)
        layout = check_spacing(rendered) if style else ()
        return _checked(rendered, [info, *layout], kind="library")
    if rendered.text is None:
        partial = render_rest(rendered)
        rest = _of_the_rest(rendered, partial, strict_toml, known_spans)
        return _checked(rendered, rest, template=partial.template_findings)
    parsed = parse(rendered, strict_toml=strict_toml)
    if parsed.document is None:
        return _checked(rendered, parsed.diagnostics, parsed=parsed)
    if parsed.document.keys() >= _COVERAGE_TABLES:
        info = Diagnostic("CLN007", "coverage manifest, skipped", rendered.file, 1, 1)
        return _checked(rendered, [*parsed.diagnostics, info], parsed=parsed, kind="coverage")
    test, findings = _check_document(rendered, parsed, parsed.document, known_spans, style=style)
    layout = check_spacing(rendered) if style and not parsed.holes else ()
    return _checked(rendered, [*parsed.diagnostics, *findings, *layout], parsed=parsed, test=test)


def _of_the_rest(
    rendered: Rendered, partial: Partial, strict_toml: str, known_spans: Collection[str]
) -> list[Diagnostic]:
    """What is wrong in a file besides the markers that keep it from being rendered."""
    if partial.rendered is None:
        return []
    parsed = parse(partial.rendered, strict_toml=strict_toml)
    found = list(parsed.diagnostics)
    if parsed.document is not None:
        findings = Findings()
        test = draft(parsed.document, rendered.file, rendered.matrix, findings)
        check_references(test, parsed.document, findings)
        check_cycles(test, parsed.document, findings)
        check_surroundings(test, findings)
        check_plausibility(test, parsed, findings, known_spans=known_spans)
        found += locate_all(without_consequences(findings.items, parsed, partial), parsed)
    return [finding for finding in found if finding.line not in partial.lines]


def _check_document(
    rendered: Rendered,
    parsed: Parsed,
    document: dict[str, Any],
    known_spans: Collection[str],
    *,
    style: bool,
) -> tuple[TestFile, list[Diagnostic]]:
    findings = Findings()
    test = draft(document, rendered.file, rendered.matrix, findings)
    check_references(test, document, findings)
    check_cycles(test, document, findings)
    check_surroundings(test, findings)
    check_plausibility(test, parsed, findings, known_spans=known_spans)
    if style and not parsed.holes:
        check_style(test, parsed, rendered, findings)
        check_order(parsed, findings)
    return test, locate_all(without_consequences(findings.items, parsed), parsed)


def _checked(
    rendered: Rendered,
    diagnostics: Iterable[Diagnostic],
    *,
    template: Iterable[Diagnostic] | None = None,
    parsed: Parsed | None = None,
    test: TestFile | None = None,
    kind: FileKind = "scenario",
) -> Checked:
    """The result: findings each once, unsilenced and in order; no test beside an error."""
    of_template = with_fixes(
        rendered.diagnostics if template is None else template, rendered.source, rendered.file
    )
    # A loop or macro that writes the same mistake many times has been typed once.
    once = {
        (finding.code, finding.file, finding.line, finding.column, finding.message): finding
        for finding in reversed([*of_template, *diagnostics])
    }
    found = sorted(unsilenced(once.values(), rendered.source, rendered.file), key=_place)
    has_error = any(finding.severity == "error" for finding in found)
    return Checked(rendered, parsed, None if has_error else test, found, kind)


def _place(finding: Diagnostic) -> tuple[int, int, str]:
    return (finding.line or 0, finding.column or 0, finding.code)
