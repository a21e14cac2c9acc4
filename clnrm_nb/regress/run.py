"""Notebooks executed, masked, kept and judged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from clnrm_nb.executor.scratch import scratch
from clnrm_nb.regress.result import NotebookResults
from clnrm_nb.regress.saved import NotebookError, SavedNotebook, read_notebook
from clnrm_nb.regress.secrets import masked_notebook, masker_of
from clnrm_nb.regress.verdict import Verdict, broken, judge
from clnrm_nb.regress.worker import Answer, Job
from clnrm_nb.regress.workers import execute_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.regress.plan import Planned
    from clnrm_nb.secrets import Masker

__all__ = ["NotebooksRequest", "run_notebooks"]


@dataclass(frozen=True, slots=True)
class NotebooksRequest:
    """What to execute.

    Parameters
    ----------
    notebooks : sequence of Planned
    artifacts : Path
        Directory where executed notebooks are kept.
    parameters : mapping
        Injected after the cell tagged ``parameters``.
    environ : mapping
        Searched for secrets.
    workers : int
        Notebooks at once.
    timeout_s : float, optional
        Of one notebook.
    html : Path, optional
        Directory for the executed notebooks as HTML.
    """

    notebooks: Sequence[Planned]
    artifacts: Path
    parameters: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    timeout_s: float | None = None
    html: Path | None = None


def run_notebooks(request: NotebooksRequest) -> NotebookResults:
    """Execute and judge all notebooks; those that cannot start do not keep the others from it.

    Raises
    ------
    OSError
        An executed notebook cannot be written.
    """
    started_at, started_s = datetime.now(UTC), monotonic()
    masker = masker_of(request.parameters, request.environ)
    refused = {planned.file: _refusal(planned, request.parameters) for planned in request.notebooks}
    ready = [planned for planned in request.notebooks if refused[planned.file] is None]
    # What papermill writes while it executes holds secrets in clear: nobody else may read it.
    with scratch("clnrm-notebooks-") as directory:
        jobs = [
            Job(
                str(planned.path),
                f"{directory}/{index}.ipynb",
                str(planned.path.parent),
                dict(request.parameters),
                request.timeout_s,
            )
            for index, planned in enumerate(ready)
        ]
        answers, interrupted = execute_all(jobs, workers=request.workers)
        executed = {
            planned.file: _kept(planned, Path(job.output), answer, request, masker)
            for planned, job, answer in zip(ready, jobs, answers, strict=True)
        }
    verdicts = [refused[planned.file] or executed[planned.file] for planned in request.notebooks]
    duration_ms = (monotonic() - started_s) * 1_000
    return NotebookResults(verdicts, started_at=started_at, duration_ms=duration_ms, interrupted=interrupted)


def _refusal(planned: Planned, parameters: Mapping[str, Any]) -> Verdict | None:
    try:
        saved = read_notebook(planned.path)
    except NotebookError as error:
        return broken(planned.file, str(error))
    if parameters and not saved.has_parameters_cell:
        names = ", ".join(parameters)
        reason = (
            f"it has no cell tagged `parameters`, so that {names} (-p) would change nothing in it; "
            "tag the cell that assigns the defaults"
        )
        return broken(planned.file, reason)
    return None


def _kept(
    planned: Planned, written: Path, answer: Answer, request: NotebooksRequest, masker: Masker
) -> Verdict:
    """Mask what papermill wrote, put it where it stays, and judge it."""
    answer = Answer(answer.problem, masker.text(answer.message), answer.unknown)
    if not written.exists():
        return judge(planned.file, SavedNotebook(), answer, None)
    notebook = masked_notebook(json.loads(written.read_text(encoding="utf-8")), request.parameters, masker)
    _name_it(notebook, planned.file)
    kept = request.artifacts / planned.place
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if request.html is not None:
        _write_html(kept, (request.html / planned.place).with_suffix(".html"))
    try:
        saved = read_notebook(kept)
    except NotebookError as error:
        return broken(planned.file, str(error))
    return judge(planned.file, saved, answer, str(kept))


def _name_it(notebook: dict[str, Any], file: str) -> None:
    """The file a person knows, in place of the scratch file papermill wrote."""
    papermill = notebook.get("metadata", {}).get("papermill", {})
    papermill.update({"input_path": file, "output_path": None})


def _write_html(notebook: Path, path: Path) -> None:
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(notebook))  # type: ignore[no-untyped-call]  # ships no annotation
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
