"""``notebooks``: whole notebooks as regression tests."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, paths_of, refuse_unknown
from clnrm_nb.config.duration import parse_duration
from clnrm_nb.errors import UsageError
from clnrm_nb.template import parse_assignments

if TYPE_CHECKING:
    from clnrm_nb.regress.result import NotebookResults

__all__ = ["notebooks"]


def notebooks(
    paths: str | Path | Sequence[str | Path] = ".",
    *,
    parameters: Mapping[str, Any] | Sequence[str] | None = None,
    jobs: int = 0,
    timeout: float | str | None = None,
    junit: str | Path | None = None,
    html: str | Path | None = None,
    artifacts: str | Path | None = None,
    context: Context | None = None,
    **options: Any,
) -> NotebookResults:
    """Execute notebooks and judge them by what their commands said.

    Parameters
    ----------
    paths : path or sequence of paths
        Notebooks or directories.
    parameters : mapping or sequence of ``K=V`` words
        Papermill parameters. Those with the name of a secret are masked in all that is kept.
    jobs : int
        Notebooks at once; 0: one for each CPU.
    timeout : float or str
        Limit of one notebook, seconds or a duration such as ``"5m"``.
    junit : path, optional
        JUnit file: a suite a notebook, a case a command, expectation and difference.
    html, artifacts : path, optional
        Directories for the executed notebooks, as HTML and as notebooks (default of the latter: ``notebooks``
        in the state directory).

    Returns
    -------
    NotebookResults
        ``exit_code`` 0 pass, 1 a check failed, 2 a notebook is broken, 3 no infrastructure, 130 interrupted.

    Raises
    ------
    UsageError
        There is no notebook, an option is off, or a report cannot be written.
    """
    from clnrm_nb.regress.plan import plan
    from clnrm_nb.regress.run import NotebooksRequest, run_notebooks

    here = context_of(context, options)
    refuse_unknown("notebooks", options)
    kept = Path(artifacts) if artifacts else here.project.state_dir / "notebooks"
    outputs = [kept, *([Path(html)] if html else [])]
    request = NotebooksRequest(
        notebooks=plan(paths_of(paths), here.project, without=outputs if artifacts or html else ()),
        artifacts=kept,
        parameters=_named(parameters),
        environ=dict(os.environ),
        workers=jobs or os.cpu_count() or 1,
        timeout_s=_seconds(timeout),
        html=Path(html) if html else None,
    )
    try:
        result = run_notebooks(request)
        if junit:
            Path(junit).parent.mkdir(parents=True, exist_ok=True)
            Path(junit).write_text(result.junit(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from None
    return result


def _named(parameters: Mapping[str, Any] | Sequence[str] | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    return dict(parameters) if isinstance(parameters, Mapping) else parse_assignments(list(parameters))


def _seconds(timeout: float | str | None) -> float | None:
    if timeout is None:
        return None
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
