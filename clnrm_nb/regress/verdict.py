"""What an executed notebook came to: from its documents, its errors, and what the worker could not do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.codes import CODES, EXIT_INTERRUPTED
from clnrm_nb.regress.cases import BAD, cases_of_documents, exit_code_of_document
from clnrm_nb.report.cases import Case, Outcome

if TYPE_CHECKING:
    from clnrm_nb.regress.saved import CellError, SavedNotebook
    from clnrm_nb.regress.worker import Answer

__all__ = ["Verdict", "broken", "judge"]

_CODE: Final = re.compile(r"\bCLN\d{3}\b")
_PROBLEMS: Final = {
    "unreadable": 2,
    "dead-kernel": 2,
    "timeout": CODES["CLN604"].exit_code,
    "no-kernel": CODES["CLN601"].exit_code,
    "internal": CODES["CLN901"].exit_code,
    "interrupted": EXIT_INTERRUPTED,
}
_EXIT_OF_ERROR: Final = {
    # A notebook may check by itself; and end with a status of its own.
    "AssertionError": 1,
    "SystemExit": 1,
    "RunFailedError": 1,
    "BackendUnavailableError": 3,
    "InternalError": 3,
    "KeyboardInterrupt": EXIT_INTERRUPTED,
    "InterruptedRunError": EXIT_INTERRUPTED,
}
_OF_OURS: Final = frozenset(
    {"ClnrmError", "ConfigError", "RefusedError", "RunFailedError", "UsageError", "ValidationFailedError"}
    | {"BackendUnavailableError", "InternalError", "InterruptedRunError"}
)
_STATUS_OF_EXIT: Final = {0: "passed", 1: "failed", 2: "error", 3: "error", EXIT_INTERRUPTED: "interrupted"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One notebook, judged.

    Parameters
    ----------
    file : str
        As reports name it.
    status : str
        ``passed``, ``failed``, ``error``, ``skipped`` or ``interrupted``.
    exit_code : int
        0 pass, 1 a check failed, 2 the notebook is broken, 3 no infrastructure, 130 interrupted.
    reason : str
        One sentence where it did not pass.
    output : str, optional
        Where the executed notebook is kept.
    """

    file: str
    status: str
    exit_code: int
    reason: str = ""
    cases: tuple[Case, ...] = ()
    duration_ms: float = 0.0
    output: str | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """One entry of ``data.notebooks``."""
        return {
            "file": self.file,
            "status": self.status,
            "exit_code": self.exit_code,
            "reason": self.reason or None,
            "duration_ms": round(self.duration_ms, 3),
            "output": self.output,
            "notes": list(self.notes),
            "cases": [
                {
                    "name": case.name,
                    "outcome": case.outcome,
                    "code": case.code or None,
                    "message": case.message,
                    "duration_ms": case.duration_ms,
                }
                for case in self.cases
            ],
        }


def broken(file: str, reason: str, exit_code: int = 2) -> Verdict:
    """A notebook that could not even be started."""
    status = _STATUS_OF_EXIT[exit_code]
    outcome: Outcome = "interrupted" if status == "interrupted" else "error"
    return Verdict(file, status, exit_code, reason, (Case(file, "notebook", outcome, reason, code=status),))


def judge(file: str, saved: SavedNotebook, answer: Answer, output: str | None) -> Verdict:
    """The verdict on one executed notebook.

    Of several causes the greatest exit code decides, as everywhere: 130, then 3, 2, 1.
    """
    cases = cases_of_documents(file, saved.documents)
    stops = [error for error in saved.errors if not error.may_fail]
    stop = stops[0] if stops else None
    causes = {exit_code_of_document(document) for document in saved.documents}
    causes |= {_exit_of_error(error) for error in stops}
    if answer.problem == "timeout":
        # The limit interrupts the cell; nobody pressed Ctrl-C.
        causes.discard(EXIT_INTERRUPTED)
    if answer.problem:
        causes.add(_PROBLEMS[answer.problem])
    exit_code = max(causes, default=0)
    # A guard ends a notebook by its mark alone; `sys.exit()` is a clean stop as well.
    is_skipped = exit_code == 0 and (stop is not None or saved.skip_reason is not None)
    status = "skipped" if is_skipped else _STATUS_OF_EXIT.get(exit_code, "error")
    reason = _skipped(saved, stop) if is_skipped else _reason(answer, stop, cases) if exit_code else ""
    notes = tuple(f"`{name}` is no parameter of this notebook" for name in answer.unknown)
    whole = replace(_whole(file, saved, answer, stop, cases), stderr="\n".join(notes))
    return Verdict(file, status, exit_code, reason, (whole, *cases), saved.duration_ms, output, notes)


def _exit_of_error(error: CellError) -> int:
    if error.is_clean_stop:
        return 0
    if error.name in _OF_OURS and (code := _CODE.search(error.message)) and code[0] in CODES:
        # Raised where a file or option is wrong: a code that lets a test merely fail is no way to pass here.
        return CODES[code[0]].exit_code or 2
    return _EXIT_OF_ERROR.get(error.name, 2)


def _reason(answer: Answer, stop: CellError | None, cases: list[Case]) -> str:
    if answer.problem:
        return answer.message
    if stop is not None and not stop.is_clean_stop:
        return _sentence(stop)
    bad = [case for case in cases if case.outcome in BAD]
    return f"{bad[0].name}: {bad[0].message}" if bad else "a command of it did not succeed"


def _skipped(saved: SavedNotebook, stop: CellError | None) -> str:
    """Why the notebook ended itself, empty where it did not."""
    return saved.skip_reason or (f"it ended itself in cell {stop.cell}" if stop is not None else "")


def _sentence(stop: CellError) -> str:
    first = stop.message.strip().splitlines()[0] if stop.message.strip() else ""
    return f"cell {stop.cell}: {stop.name}: {first}".rstrip(": ")


def _whole(
    file: str, saved: SavedNotebook, answer: Answer, stop: CellError | None, cases: list[Case]
) -> Case:
    """The notebook itself: whether it ran to its end, and if not, why."""
    outcome: Outcome = "passed"
    message = detail = code = ""
    if answer.problem:
        outcome = {"timeout": "failed", "interrupted": "interrupted"}.get(answer.problem, "error")  # type: ignore[assignment]  # the values are outcomes
        message, code = answer.message, "CLN604" if answer.problem == "timeout" else answer.problem
    elif stop is None or stop.is_clean_stop:
        if message := _skipped(saved, stop):
            outcome = "skipped"
    else:
        message, detail, code = _sentence(stop), stop.message, stop.name
        told = any(case.outcome in BAD and case.name.startswith(f"[{stop.cell}] ") for case in cases)
        if told:
            # The failed check has a case of its own; counted twice it would only confuse.
            outcome, message = "skipped", f"ended in cell {stop.cell} by the failure reported there"
        else:
            outcome = "failed" if _exit_of_error(stop) == 1 else "error"
    return Case(file, "notebook", outcome, message, detail, code, saved.duration_ms)
