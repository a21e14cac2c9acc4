"""A worker process: executes one notebook after the other, each named by a line of JSON on stdin.

A process of its own, because papermill takes seconds to import, changes the working directory, and a person's
notebook (or the terminal's Ctrl-C) must not take the caller with it. Answers are lines of JSON on what was
stdout when it started; everything that anybody prints goes to stderr.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "Job", "main"]

Problem = Literal["", "unreadable", "no-kernel", "dead-kernel", "timeout", "interrupted", "internal"]


@dataclass(frozen=True, slots=True)
class Job:
    """One notebook to execute: absolute paths, parameters that JSON can hold, seconds for all its cells."""

    source: str
    output: str
    directory: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What kept a notebook from being executed to its end, other than its cells.

    A cell that raises is no problem here: the error stands in the executed notebook.
    """

    problem: Problem = ""
    message: str = ""
    unknown: tuple[str, ...] = ()
    """Parameters that the notebook's ``parameters`` cell does not assign."""


def main() -> None:
    """Answer jobs until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        answer = execute(Job(**json.loads(line)))
        answers.write(json.dumps(asdict(answer)) + "\n")
        answers.flush()


def execute(job: Job) -> Answer:
    """Execute one notebook; its output is written after every cell."""
    unknown: tuple[str, ...] = ()
    try:
        kernel, unknown = _look_at(job)
        _run(job, kernel)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # Whatever goes wrong, the next job goes on.
        return _answer_to(error, job, unknown)
    return Answer(unknown=unknown)


def _answer_to(error: BaseException, job: Job, unknown: tuple[str, ...]) -> Answer:
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    problem: Problem = "internal"
    message = f"{type(error).__name__}: {error}"
    match error:
        case PapermillExecutionError():
            problem, message = "", ""
        case CellTimeoutError():
            problem, message = "timeout", f"it did not end within {job.timeout_s:g} s"
        case DeadKernelError():
            problem, message = "dead-kernel", "its kernel died"
        case NoSuchKernel():
            problem, message = "no-kernel", f"there is no kernel {error.name!r}"
        case RuntimeError() if "Kernel" in str(error):
            # jupyter_client has no kind of its own for a kernel that ends before it ever answered.
            problem, message = "no-kernel", f"its kernel did not start: {error}"
        case KeyboardInterrupt():
            problem, message = "interrupted", "interrupted"
    return Answer(problem, message, unknown)


def _look_at(job: Job) -> tuple[str, tuple[str, ...]]:
    """The kernel to use, and the parameters nobody reads."""
    import nbformat

    notebook = nbformat.read(job.source, as_version=4)  # type: ignore[no-untyped-call]  # ships no annotation
    kernel = str(notebook.metadata.get("kernelspec", {}).get("name") or "python3")
    tagged = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    known = _assigned(tagged[0]) if tagged else None
    return kernel, () if known is None else tuple(name for name in job.parameters if name not in known)


def _assigned(source: str) -> set[str] | None:
    """The names a cell assigns; ``None`` where it is not plain Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    nodes = (
        node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {node.id for node in nodes}


def _run(job: Job, kernel: str) -> None:
    import papermill

    ends_at = None if job.timeout_s is None else monotonic() + job.timeout_s

    def seconds_left(_: Any) -> float | None:
        """Of the whole notebook: papermill's own limit is that of one cell."""
        return None if ends_at is None else max(ends_at - monotonic(), 0.001)

    papermill.execute_notebook(
        job.source,
        job.output,
        parameters=dict(job.parameters),
        kernel_name=kernel,
        language="python",
        progress_bar=False,
        cwd=job.directory,
        timeout_func=seconds_left,
        # A FigureWidget's state weighs five megabytes; durable outputs need none.
        store_widget_state=False,
    )


if __name__ == "__main__":
    main()
