"""Cases out of the durable documents of a notebook: one a command, expectation and cause of a difference.

Documents are windowed: what failed is kept first and in full, what passed by name, at most so many. Whatever
a document claims without a case of its own becomes one, so that nothing that failed can look green.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.cases import Case, Outcome
from clnrm_nb.report.text import value_text

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from clnrm_nb.regress.saved import SavedDocument

__all__ = ["cases_of_documents", "exit_code_of_document"]

BAD: Final = frozenset({"failed", "error", "not-evaluated", "interrupted"})

_OUTCOMES: Final[dict[str, Outcome]] = {
    "passed": "passed",
    "cached": "passed",
    "flaky": "passed",
    "failed": "failed",
    "error": "error",
    "incomplete": "not-evaluated",
    "not-evaluated": "not-evaluated",
    "skipped": "skipped",
    "interrupted": "interrupted",
}


def exit_code_of_document(saved: SavedDocument) -> int:
    """What a document gives the notebook; a view of spans alone claims nothing."""
    if saved.may_fail or saved.kind == "trace":
        return 0
    if "exit_code" in saved.document:
        return int(saved.document["exit_code"])
    return 0 if saved.document.get("ok", True) else 1


def cases_of_documents(file: str, documents: Iterable[SavedDocument]) -> list[Case]:
    """The cases of a notebook, names unique within it.

    Parameters
    ----------
    file : str
        The notebook, as reports name it.
    documents : iterable of SavedDocument
        Those shown twice count once.
    """
    distinct: dict[str, SavedDocument] = {}
    for saved in documents:
        distinct.setdefault(value_text(saved.document), saved)
    shown = distinct.values()
    alone = {_traces(entry) for saved in shown if saved.kind == "diff" for entry in saved.document["diffs"]}
    return _numbered([case for saved in shown for case in _settled(saved, list(_cases(file, saved, alone)))])


def _traces(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a comparison held against what."""
    return entry["id"], entry["baseline_digest"], entry["trace_digest"]


def _cases(file: str, saved: SavedDocument, alone: Container[tuple[Any, ...]]) -> Iterator[Case]:
    """The cases of one document; a comparison of a run that a diff shows alone, too, is told there."""
    place = f"[{saved.cell}]"
    document = saved.document
    match saved.kind:
        case "result":
            for test in document.get("tests", ()):
                yield from _test(file, place, test)
            yield from _unshown(file, place, document, "tests")
            diff = document.get("diff")
            if diff is not None and not all(_traces(entry) in alone for entry in diff["diffs"]):
                errors = {found["code"] for found in document["diagnostics"] if found["severity"] == "error"}
                yield from _diff(file, place, diff, harmless=_MAY_BE_HARMLESS - errors)
        case "diagnostics":
            yield _findings(file, place, document)
        case "diff":
            yield from _diff(file, place, document, saved.text)


def _settled(saved: SavedDocument, cases: list[Case]) -> list[Case]:
    """Cases as the document as a whole is meant."""
    exit_code = exit_code_of_document(saved)
    if saved.may_fail:
        return [_excused(case, "its cell is tagged raises-exception") for case in cases]
    if exit_code == 0:
        # Such as --allow-not-evaluated: the person let it pass, and the command said so.
        return [_excused(case, case.message or "not evaluated, with leave") for case in cases]
    if not any(case.outcome in BAD for case in cases):
        message = f"`{saved.document.get('command', saved.kind)}` ended with exit code {exit_code}"
        outcome: Outcome = "failed" if exit_code == 1 else "error"
        file = cases[0].test if cases else ""
        cases.append(Case(file, f"[{saved.cell}] {saved.kind}", outcome, message, saved.text))
    return cases


def _excused(case: Case, reason: str) -> Case:
    return replace(case, outcome="skipped", message=reason) if case.outcome in BAD else case


def _test(file: str, place: str, test: Mapping[str, Any]) -> Iterator[Case]:
    prefix = f"{place} {test['id']}"
    told: set[Outcome] = set()
    for case in (*_steps(file, prefix, test), *_expectations(file, prefix, test)):
        told.add(case.outcome)
        yield case
    outcome = _OUTCOMES.get(test["status"], "error")
    if not told or (outcome not in told and outcome != "passed"):
        message = test.get("reason") or ("" if outcome == "passed" else f"the test is {test['status']}")
        yield Case(file, f"{prefix}::test", outcome, message, code=test["status"])
    hidden = test["counts"]["passed"] - len(test["passed"])
    if hidden > 0:
        yield Case(file, f"{prefix}::{hidden} more expectations (not named in the notebook)", "passed")


def _steps(file: str, prefix: str, test: Mapping[str, Any]) -> Iterator[Case]:
    for scenario in test["scenarios"]:
        name = f"{prefix}::{scenario['name']}"
        outcome = _OUTCOMES.get(scenario["status"], "error")
        told = set()
        for command in scenario["commands"]:
            case = Case(
                file,
                f"{name}::{command['name']}",
                _OUTCOMES.get(command["status"], "error"),
                command.get("reason") or "",
                detail=f"exit code {command.get('exit_code')}",
                code=command["status"],
                duration_ms=command.get("duration_ms") or 0.0,
                is_cached=bool(test.get("cached")),
            )
            told.add(case.outcome)
            yield case
        if not told or (outcome not in told and outcome != "passed"):
            message = scenario.get("reason") or ("" if outcome == "passed" else scenario["status"])
            duration_ms = 0.0 if told else scenario.get("duration_ms") or 0.0
            yield Case(file, name, outcome, message, code=scenario["status"], duration_ms=duration_ms)


def _expectations(file: str, prefix: str, test: Mapping[str, Any]) -> Iterator[Case]:
    for name in test["passed"]:
        yield Case(file, f"{prefix}::expect {name}", "passed")
    for result in test["expectations"]:
        scenario = f"{result['scenario']}::" if result.get("scenario") else ""
        source = f"{result['file']}:{result['line']}" if result.get("file") else ""
        facts = [
            f"{word}: {value_text(result[word])}"
            for word in ("expected", "actual", "reason")
            if result.get(word) is not None
        ]
        yield Case(
            file,
            f"{prefix}::expect {scenario}{result['id']}",
            _OUTCOMES.get(result["status"], "error"),
            result["message"],
            "\n".join([source, *facts] if source else facts),
            code="CLN607" if result.get("reason") == "no-spans" else "CLN608",
        )


def _findings(file: str, place: str, document: Mapping[str, Any]) -> Case:
    findings = document.get("diagnostics", [])
    lines = [
        f"{f.get('file')}:{f.get('line')}:{f.get('column')}: {f['severity']} {f['code']} {f['message']}"
        for f in findings
    ]
    bad = [f for f in findings if f["severity"] == "error"] or findings
    ok = document.get("ok", True)
    return Case(
        file,
        f"{place} {document.get('command', 'validate')}",
        "passed" if ok else "error",
        "" if ok or not bad else bad[0]["message"],
        "\n".join(lines),
        code="" if ok or not bad else bad[0]["code"],
    )


_MAY_BE_HARMLESS: Final = frozenset({"CLN701", "CLN706"})
"""Findings of comparisons that are errors only where a baseline is required."""
_DIFF_OUTCOMES: Final[dict[str, Outcome]] = {
    "same": "passed",
    "incomplete": "not-evaluated",
    "error": "error",
}


def _diff(
    file: str, place: str, document: Mapping[str, Any], text: str = "", harmless: Container[str] = ()
) -> Iterator[Case]:
    """The cases of a diff, and how many it has that the notebook does not keep.

    Parameters
    ----------
    text : str
        Its tree.
    harmless : container of str
        Codes that failed nothing in the run the diff belongs to.
    """
    for case in _diffs(file, place, document, text):
        is_harmless = case.outcome == "failed" and case.code in harmless
        yield replace(case, outcome="skipped") if is_harmless else case
    for noun in ("causes", "diffs"):
        counts = {word: document[word][noun] for word in ("total", "shown")}
        yield from _unshown(file, place, counts, noun)


def _diffs(file: str, place: str, document: Mapping[str, Any], text: str) -> Iterator[Case]:
    """A case for each cause of a difference; one for the comparison where there is none."""
    causes: dict[int, list[Case]] = {}
    columns = {name: column.split() for name, column in document["causes"].items()}
    edits = _edits_by_cause(document)
    for number, (diff, cause_id, message) in enumerate(
        zip(columns["diff"], columns["cause_id"], columns["message"], strict=True)
    ):
        entry = document["diffs"][int(diff)]
        if columns["counted"][number] == "1" and entry["status"] == "changed":
            name = f"{place} diff {entry['id']}::{cause_id}"
            sentence = document["messages"][int(message)]
            case = Case(file, name, "failed", sentence, "\n".join(edits.get(number, ())), code="CLN704")
            causes.setdefault(int(diff), []).append(case)
    for index, entry in enumerate(document["diffs"]):
        outcome = _DIFF_OUTCOMES.get(entry["status"], "failed")
        message = entry["message"] or ("" if outcome == "passed" else entry["status"])
        code = entry["code"] or ""
        told = causes.get(index) or [Case(file, f"{place} diff {entry['id']}", outcome, message, code=code)]
        # The text tree once: it shows all comparisons of the document.
        yield from (
            replace(case, stdout=text if index == 0 and i == 0 else "") for i, case in enumerate(told)
        )


def _edits_by_cause(document: Mapping[str, Any]) -> dict[int, list[str]]:
    """What each cause is made of, one sentence an edit."""
    columns = {name: column.split() for name, column in document["edits"].items()}
    sentences: dict[int, list[str]] = {}
    for cause, reason, path in zip(columns["cause"], columns["reason"], columns["path"], strict=True):
        where = document["paths"][int(path)] if int(path) >= 0 else ""
        why = document["reasons"][int(reason)] if int(reason) >= 0 else ""
        sentences.setdefault(int(cause), []).append(": ".join(part for part in (where, why) if part))
    return sentences


def _unshown(file: str, place: str, document: Mapping[str, Any], noun: str) -> Iterator[Case]:
    hidden = document.get("total", 0) - document.get("shown", 0)
    if hidden > 0:
        message = f"the notebook keeps {document['shown']} of {document['total']} {noun}"
        yield Case(file, f"{place} {hidden} more {noun}", "skipped", message)


def _numbered(cases: Sequence[Case]) -> list[Case]:
    """A second case of a name gets a number: CI systems fold equal names into one."""
    uses: Counter[str] = Counter()
    numbered = []
    for case in cases:
        uses[case.name] += 1
        again = uses[case.name]
        numbered.append(case if again == 1 else replace(case, name=f"{case.name} #{again}"))
    return numbered
