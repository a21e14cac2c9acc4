"""``render``, ``validate`` and ``dry-run``: files read, nothing run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown, variables_from
from clnrm_nb.api.sources import sources_of
from clnrm_nb.codes import SEVERITIES
from clnrm_nb.errors import ClnrmError, UsageError, ValidationFailedError
from clnrm_nb.executor.masking import masked_finding
from clnrm_nb.pipeline.dryrun import look_ahead
from clnrm_nb.pipeline.load import Sources, load, template_request
from clnrm_nb.pipeline.secrets import hiding, masker_of, masker_of_rendered
from clnrm_nb.pipeline.select import select
from clnrm_nb.report.planned import Plan
from clnrm_nb.report.results import Diagnostics, Rendered
from clnrm_nb.template import combinations, parse_assignments
from clnrm_nb.template import render as render_template
from clnrm_nb.validation import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.pipeline.load import Cell, LoadedTest, Variables
    from clnrm_nb.report.excerpt import Source
    from clnrm_nb.template import TemplateRequest

__all__ = ["dry_run", "render", "validate"]


def validate(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    cell: Cell | None = None,
    context: Context | None = None,
    **options: Any,
) -> Diagnostics:
    """Everything that is wrong with scenario files, in one pass.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    cell : Cell, optional
        A notebook cell instead of files.
    **options
        Those of ``clnrm validate``, such as ``vars={"port": 8080}`` or ``deny_warnings=True``.

    Returns
    -------
    Diagnostics
        ``exit_code`` 2 with errors, 1 with warnings under ``deny_warnings``, else 0.
    """
    here = context_of(context, options)
    refuse_unknown("validate", options)
    looked = _look(paths, cell, here, options)
    return Diagnostics(
        [*here.settings.diagnostics, *looked.findings],
        deny_warnings=here.settings.lint.deny_warnings,
        files=looked.files,
        sources=looked.sources,
        mask=masker_of(looked.tests, looked.variables.environ).text,
    )


def dry_run(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    cell: Cell | None = None,
    context: Context | None = None,
    **options: Any,
) -> Diagnostics:
    """As :func:`validate`, and what a run would do; no engine is needed and nothing is started.

    Parameters
    ----------
    paths : path or sequence of paths
        Files or directories.
    cell : Cell, optional
        A notebook cell instead of files.
    **options
        Those of ``clnrm dry-run``.

    Returns
    -------
    Diagnostics
        The plan of each valid test is in ``raw["data"]["plans"]``: services in the order they start,
        commands, names of variables, what needs permission (CLN616, here a warning: permission is given to
        the run). ``exit_code`` as of :func:`validate`.
    """
    here = context_of(context, options)
    refuse_unknown("dry_run", options)
    looked = _look(paths, cell, here, options)
    environ = looked.variables.environ
    valid = [test for test in looked.tests if test.test is not None]
    masker = masker_of(looked.tests, environ)
    with hiding(masker):
        planned = [
            look_ahead(test, project=here.project, settings=here.settings, environ=environ) for test in valid
        ]
    findings = [finding for plan in planned for finding in plan.diagnostics]
    return Diagnostics(
        [*here.settings.diagnostics, *looked.findings, *findings],
        command="dry-run",
        deny_warnings=here.settings.lint.deny_warnings,
        files=_with_refusals(looked.files, findings),
        parts=[Plan(plan.document, masker.text) for plan in planned],
        data={"plans": [plan.document for plan in planned]},
        sources=sources_of([*looked.findings, *findings], looked.tests, cell, here.project),
        mask=masker.text,
    )


@dataclass(frozen=True, slots=True)
class _Looked:
    """What validation found in the chosen tests."""

    tests: list[LoadedTest]
    findings: list[Diagnostic]
    variables: Variables
    sources: dict[str, Source]

    @property
    def files(self) -> list[dict[str, str]]:
        return [{"file": test.test_id, "outcome": test.outcome, "kind": "scenario"} for test in self.tests]


def _look(
    paths: str | Path | Sequence[str | Path], cell: Cell | None, here: Context, options: dict[str, Any]
) -> _Looked:
    """Load, select and collect; the options that do so are taken out of `options`."""
    variables = variables_from(options)
    sources = Sources(paths_of(paths, cell), [cell] if cell else [], bool(options.get("no_template")))
    loaded = load(sources, variables, project=here.project, settings=here.settings)
    tests = select(
        loaded.tests,
        tags=options.get("tag", ()),
        only=options.get("only", ()),
        expression=options.get("expression"),
        shard=options.get("shard"),
    )
    findings = loaded.diagnostics_of({test.test_id for test in tests})
    return _Looked(tests, findings, variables, sources_of(findings, tests, cell, here.project))


def _with_refusals(files: list[dict[str, str]], findings: Sequence[Diagnostic]) -> list[dict[str, str]]:
    """Outcomes of files, those worse that a run would be refused for."""
    worse: dict[str | None, str] = {}
    for finding in sorted(findings, key=lambda one: SEVERITIES.index(one.severity), reverse=True):
        worse[finding.test] = "error" if finding.severity == "error" else "ok-with-warnings"
    order = ("ok", "ok-with-warnings", "error")
    return [
        {**file, "outcome": max(file["outcome"], worse.get(file["file"], "ok"), key=order.index)}
        for file in files
    ]


def render(
    file: str | Path | None = None,
    *,
    cell: Cell | None = None,
    context: Context | None = None,
    output: str | Path | None = None,
    show_vars: bool = False,
    source_map: bool = False,
    matrix: Sequence[str] | dict[str, Any] = (),
    **options: Any,
) -> Rendered:
    """What a template renders to.

    Parameters
    ----------
    file : path
        A scenario file; of several matrix combinations the first, unless `matrix` chooses one.
    output : path, optional
        Also write the text there.
    show_vars, source_map : bool
        Also show value and origin of each variable, or the template line behind each line.

    Raises
    ------
    ValidationFailedError
        It does not render; all findings are in ``diagnostics``.
    """
    here = context_of(context, options)
    refuse_unknown("render", options)
    variables = variables_from(options)
    path = cell.directory / f"{cell.name}.clnrm.toml.tera" if cell else Path(_needed(file))
    request = template_request(
        path,
        here.project,
        here.settings,
        variables,
        file=f"cell:{cell.name}" if cell else None,
        text=cell.text if cell else None,
        no_template=bool(options.get("no_template")),
    )
    rendered = render_template(_with_combination(request, matrix))
    masker = masker_of_rendered(rendered)
    if rendered.text is None:
        raise _not_rendered([masked_finding(finding, masker) for finding in rendered.diagnostics])
    if output is not None:
        _write(Path(output), masker.text(rendered.text))
    is_scenario = cell is not None or ".clnrm.toml" in path.name
    return Rendered(
        rendered,
        show_vars=show_vars,
        show_source_map=source_map,
        beside=check(rendered).diagnostics if is_scenario else (),
        mask=masker.text,
    )


def _needed(file: str | Path | None) -> str | Path:
    if file is None:
        raise UsageError("render needs a file or a cell")
    return file


def _with_combination(request: TemplateRequest, wanted: Sequence[str] | dict[str, Any]) -> TemplateRequest:
    from dataclasses import replace

    chosen, findings = combinations(request)
    if not chosen:
        raise _not_rendered(findings)
    asked = wanted if isinstance(wanted, dict) else parse_assignments(list(wanted))
    for matrix in chosen:
        if all(str(matrix.get(key)) == str(value) for key, value in asked.items()):
            return replace(request, matrix=matrix)
    names = ", ".join("[" + ",".join(f"{k}={v}" for k, v in matrix.items()) + "]" for matrix in chosen[:5])
    raise UsageError(f"{request.file} has no matrix combination {asked!r}", hint=f"It has {names}.")


def _not_rendered(findings: Sequence[Any]) -> ClnrmError:
    errors = [finding for finding in findings if finding.severity == "error"]
    first = errors[0]
    return ValidationFailedError(first.message, first.code, hint=first.hint, diagnostics=errors)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
