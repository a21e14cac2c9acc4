"""Report files: those a test's ``[report]`` table names, and ``--report-junit|json|html FILE``."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.config.writing import write_atomically
from clnrm_nb.report.render import render_json, render_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clnrm_nb.report.cases import Case
    from clnrm_nb.report.render import Format, Reportable
    from clnrm_nb.report.results import RunResult
    from clnrm_nb.scenario.model import Report

__all__ = ["digest_text", "test_document", "write_report", "write_test_reports"]


def write_report(result: Reportable, path: Path, format: Format) -> None:  # noqa: A002  # The flag's name.
    """Write one report; parents are created, an older file is replaced whole.

    A link is followed, and what is no file (``/dev/stdout``, a pipe) is written to and stays what it is.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    content = render_report(result, format).encode()
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
    else:
        write_atomically(path, content)


def write_test_reports(result: RunResult, report: Report, root: Path) -> list[Path]:
    """Write the files a test asks for.

    Parameters
    ----------
    result : RunResult
        Of this one test.
    report : Report
        Paths relative to `root`.

    Returns
    -------
    list of Path
        What was written.
    """
    test = result.tests[0]
    texts: dict[str | None, Callable[[], str]] = {
        report.json_path: lambda: render_json(test_document(test, result.cases(test))),
        report.junit: lambda: render_report(result, "junit"),
        report.digest: lambda: digest_text(test),
        report.html: lambda: render_report(result, "html"),
        report.markdown: lambda: render_report(result, "markdown"),
    }
    written: list[Path] = []
    for name, make in texts.items():
        if name is not None:
            path = _within(root, name)
            write_atomically(path, make().encode())
            written.append(path)
    return written


def _within(root: Path, name: str) -> Path:
    """The place of a report, links followed: a test writes into its project, and not into its history.

    Raises
    ------
    PermissionError
        It leads elsewhere.
    """
    path = root / name
    real, top = path.parent.resolve() / path.name, root.resolve()
    if not real.is_relative_to(top) or ".git" in real.relative_to(top).parts:
        raise PermissionError(errno.EPERM, "it leads out of the project", str(path))
    return path


def test_document(test: Mapping[str, Any], cases: Sequence[Case]) -> dict[str, Any]:
    """``[report].json``: what passed, what failed and why, what nobody could tell."""
    passes = [case.name for case in cases if case.outcome == "passed"]
    failures = [
        {"name": case.name, "error": case.message or case.outcome}
        for case in cases
        if case.outcome in {"failed", "error", "interrupted"}
    ]
    open_cases = [case.name for case in cases if case.outcome == "not-evaluated"]
    return {
        "passed": test["status"] in {"passed", "cached", "flaky"},
        "total_passes": len(passes),
        "total_failures": len(failures),
        "total_not_evaluated": len(open_cases),
        "passes": passes,
        "failures": failures,
        "not_evaluated": open_cases,
    }


def digest_text(test: Mapping[str, Any]) -> str:
    """``[report].digest``: the 64 hex digits of the test's trace digest and a line break.

    Empty for a test without spans: there is no trace to take a digest of.
    """
    digest = test.get("trace_digest")
    return f"{digest.removeprefix('sha256:')}\n" if digest else ""
