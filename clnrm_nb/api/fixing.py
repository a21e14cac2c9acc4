"""``lint`` and ``migrate``: findings with their repairs, and files repaired."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.api.sources import sources_of
from clnrm_nb.config.discovery import discover
from clnrm_nb.config.sourcefile import read_source, write_source
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.masking import masked_finding
from clnrm_nb.fixes import meaning, mend, older_forms
from clnrm_nb.pipeline.load import Variables, template_request
from clnrm_nb.pipeline.secrets import masker_of_rendered
from clnrm_nb.report.edited import Edited, EditedFile
from clnrm_nb.report.results import Diagnostics
from clnrm_nb.template import combinations, render
from clnrm_nb.validation import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.report.edited import EditStatus
    from clnrm_nb.template import TemplateRequest

__all__ = ["lint", "migrate"]

_OLDER: Final = ("CLN308",)


@dataclass(frozen=True, slots=True)
class _Linter:
    """What all files of one call are checked with."""

    here: Context
    variables: Variables
    no_template: bool = False
    style: bool = True
    older: bool = False

    def meaning(self, path: Path, file: str, text: str) -> list[Any] | None:
        """What a file means, wherever it says so; ``None`` where that is another thing each time."""
        request = self._request(path, file, text)
        meanings = []
        for matrix in combinations(request)[0]:
            rendered = render(replace(request, matrix=matrix))
            if rendered.dependencies.nondeterministic:
                return None
            test = check(rendered).test
            meanings.append(meaning(test) if test else None)
        return meanings

    def findings(self, path: Path, file: str, text: str | None) -> list[Diagnostic]:
        """Everything there is to say about a file, over all combinations of its matrix."""
        settings = self.here.settings
        request = self._request(path, file, text)
        found: dict[Any, Diagnostic] = {}
        chosen, matrix_findings = combinations(request)
        for finding in matrix_findings:
            found.setdefault(_identity(finding), finding)
        for matrix in chosen:
            for finding in self._checked(replace(request, matrix=matrix)):
                found.setdefault(_identity(finding), finding)
        kept = [
            one for one in found.values() if one.severity == "error" or one.code not in settings.lint.disable
        ]
        return sorted(kept, key=lambda finding: finding.sort_key)

    def _checked(self, request: TemplateRequest) -> list[Diagnostic]:
        strict = self.here.settings.template.strict_toml
        rendered = render(request)
        checked = check(rendered, strict_toml=strict, style=self.style)
        forms = older_forms(checked.parsed, checked.test) if self.older and checked.parsed is not None else []
        masker = masker_of_rendered(rendered)
        return [masked_finding(finding, masker) for finding in (*checked.diagnostics, *forms)]

    def _request(self, path: Path, file: str, text: str | None) -> TemplateRequest:
        return template_request(
            path,
            self.here.project,
            self.here.settings,
            self.variables,
            file=file,
            text=text,
            no_template=self.no_template,
        )


def _identity(finding: Diagnostic) -> tuple[Any, ...]:
    return finding.code, finding.file, finding.line, finding.column, finding.message


def lint(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    fix: bool = False,
    unsafe_fixes: bool = False,
    diff: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Diagnostics | Edited:
    """Everything ``validate`` says, findings of style, and repairs.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    fix : bool
        Repair what can be repaired without changing what a file means.
    unsafe_fixes : bool
        With `fix` or `diff`: also repairs that may change what a file means.
    diff : bool
        Write nothing; show what `fix` would change.
    **options
        Those of ``clnrm lint``, such as ``deny_warnings=True``.

    Returns
    -------
    Diagnostics or Edited
        The findings; with `fix` or `diff` what was or would be changed, and the findings that remain.
    """
    here = context_of(context, options)
    refuse_unknown("lint", options)
    linter = _Linter(here, variables_from(options), bool(options.get("no_template")))
    found = discover(paths_of(paths), here.project, here.settings.discovery.ignore)
    findings = [*here.settings.diagnostics, *found.diagnostics]
    if not (fix or diff):
        files = []
        for path in found.files:
            file = here.project.relative(path)
            own = linter.findings(path, file, None)
            findings += own
            files.append({"file": file, "outcome": _outcome(own), "kind": "scenario"})
        return Diagnostics(
            findings,
            command="lint",
            files=files,
            sources=sources_of(findings, (), None, here.project),
            deny_warnings=here.settings.lint.deny_warnings,
        )

    def wanted(finding: Diagnostic) -> bool:
        return finding.fix is not None and (finding.fix.safe or unsafe_fixes)

    edited = [_mended(path, linter, wanted, findings, writes=not diff) for path in found.files]
    return Edited(
        edited,
        command="lint",
        findings=findings,
        with_diff=diff,
        deny_warnings=here.settings.lint.deny_warnings,
    )


def migrate(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    check: bool = False,
    diff: bool = False,
    context: Context | None = None,
    **options: Any,
) -> Edited:
    """Bring older spellings and forms into the current ones; what a file means stays.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    check : bool
        Write nothing; say what would change.
    diff : bool
        Write nothing; show it.

    Returns
    -------
    Edited
        Findings are the older spellings that have to be rewritten by hand, and errors.
    """
    here = context_of(context, options)
    refuse_unknown("migrate", options)
    linter = _Linter(here, variables_from(options), style=False, older=True)
    found = discover(paths_of(paths), here.project, here.settings.discovery.ignore)
    findings = [*here.settings.diagnostics, *found.diagnostics]

    def wanted(finding: Diagnostic) -> bool:
        return finding.code in _OLDER and finding.fix is not None and finding.fix.safe

    edited = [
        _mended(path, linter, wanted, findings, writes=not (check or diff), keeps_meaning=True)
        for path in found.files
    ]
    return Edited(edited, command="migrate", findings=findings, with_diff=diff)


def _outcome(findings: Sequence[Diagnostic]) -> str:
    severities = {finding.severity for finding in findings}
    return "error" if "error" in severities else ("ok-with-warnings" if "warning" in severities else "ok")


def _mended(
    path: Path,
    linter: _Linter,
    wanted: Callable[[Diagnostic], bool],
    findings: list[Diagnostic],
    *,
    writes: bool,
    keeps_meaning: bool = False,
) -> EditedFile:
    """Repair one file; what remains is added to `findings`."""
    file = linter.here.project.relative(path)
    try:
        source = read_source(path, file)
        mended = mend(source.text, lambda text: linter.findings(path, file, text), wanted)
        if keeps_meaning and mended.text != source.text:
            before = linter.meaning(path, file, source.text)
            if before is not None and before != linter.meaning(path, file, mended.text):
                note = (
                    "left as it is: it would have meant something else, such as another order of expectations"
                )
                findings += linter.findings(path, file, source.text)
                return EditedFile(file, "unchanged", source.text, source.text, notes=[note])
        if writes:
            write_source(source, mended.text)
    except ClnrmError as error:
        findings.append(error.diagnostic)
        return EditedFile(file, "error")
    findings += mended.remaining
    status: EditStatus = "unchanged"
    if mended.text != source.text:
        status = "changed" if writes else "would-change"
    notes = [_counted(mended.fixed, "fixed" if writes else "would fix")] if mended.fixed else []
    notes += [
        f"line {finding.line}: the repair of {finding.code} would make the file worse and was left out"
        for finding in mended.refused
    ]
    return EditedFile(file, status, source.text, mended.text, fixes=mended.fixed.total(), notes=notes)


def _counted(fixed: Counter[str], done: str) -> str:
    return f"{done} " + ", ".join(f"{count} {code}" for code, count in sorted(fixed.items()))
