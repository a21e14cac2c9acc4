"""A run as a list of cases, the common ground of JUnit, TAP and a test's own report files.

A case for each scenario, each expectation and each cause of a difference; one for the test itself where it
failed and none of those says so (an invalid file, a service that never got ready, something left behind).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.diff.sentences import sentence
from clnrm_nb.diff.text import rows
from clnrm_nb.report.diffwords import MOST_CAUSES, causes_left, counts_text, edit_text, place_text
from clnrm_nb.report.text import number_text, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clnrm_nb.diff.model import Cause, Diff
    from clnrm_nb.report.difflayout import Compared

__all__ = ["Case", "Outcome", "cases_of", "diff_cases"]

Outcome = Literal["passed", "failed", "error", "skipped", "not-evaluated", "interrupted"]

_OUTCOMES: Mapping[str, Outcome] = {
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


@dataclass(frozen=True, slots=True)
class Case:
    """One verdict.

    Parameters
    ----------
    id : str
        Unique within a run: ``<test id>::<scenario or expectation>``.
    name : str
        Unique within its test.
    code : str
        A code, or the word of the outcome where there is none.
    message, detail : str
        One sentence, and everything else there is to say.
    """

    test: str
    name: str
    outcome: Outcome
    message: str = ""
    detail: str = ""
    code: str = ""
    duration_ms: float = 0.0
    is_cached: bool = False
    is_flaky: bool = False
    stdout: str = ""
    stderr: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    quieted: Mapping[str, int] = field(default_factory=dict)
    """Differences that do not count, by the rule that quiets them."""

    @property
    def id(self) -> str:
        """See the class."""
        return f"{self.test}::{self.name}"


_EDITS_IN_DETAIL: Final = 20
_TREE_LINES: Final = 40
_TREE_WIDTH: Final = 100
_MOST_IDS: Final = 100
_MOST_CASES: Final = 1_000
"""Of one comparison, at some 500 bytes each: systems of CI read files of megabytes badly or not at all."""


def cases_of(test: Mapping[str, Any], comparisons: Sequence[Compared] = ()) -> list[Case]:
    """The cases of one test document, and of what its traces were compared with."""
    cases = [*_scenarios(test), *_expectations(test)]
    cases += [case for compared in comparisons for case in diff_cases(compared)]
    told = {case.outcome for case in cases}
    outcome = _OUTCOMES[test["status"]]
    if not cases or (outcome not in told and outcome != "passed"):
        cases.insert(0, _whole(test, outcome))
    return cases


def _whole(test: Mapping[str, Any], outcome: Outcome) -> Case:
    findings = _deciding(test["diagnostics"])
    message = test.get("reason") or (findings[0]["message"] if findings else "")
    code = findings[0]["code"] if findings else ""
    return Case(
        test=test["id"],
        name="test",
        outcome=outcome,
        message=message if outcome != "passed" else "",
        detail="\n".join(_sentence(finding) for finding in findings),
        code=code or test["status"],
        duration_ms=test["duration_ms"],
        is_cached=bool(test.get("cached")),
        is_flaky=test["status"] == "flaky",
    )


def _scenarios(test: Mapping[str, Any]) -> Iterator[Case]:
    flaky_somewhere = any(scenario["status"] == "flaky" for scenario in test["scenarios"])
    for index, scenario in enumerate(test["scenarios"]):
        findings = [f for f in _deciding(test["diagnostics"]) if f.get("scenario") == scenario["name"]]
        failed = [
            command for command in scenario["commands"] if command["status"] not in {"passed", "skipped"}
        ]
        reasons = [command["reason"] for command in failed if command.get("reason")]
        message = scenario.get("reason") or (reasons or [f["message"] for f in findings] or [""])[0]
        # The retry was of the whole test: where no scenario is marked, the first stands for it.
        stands_for_test = test["status"] == "flaky" and not flaky_somewhere and index == 0
        yield Case(
            test=test["id"],
            name=scenario["name"],
            outcome=_OUTCOMES[scenario["status"]],
            message=message or (test.get("reason") or "" if stands_for_test else ""),
            detail="\n".join([*map(_sentence, findings), *map(_command, failed)]),
            code=findings[0]["code"] if findings else scenario["status"],
            duration_ms=scenario["duration_ms"],
            is_cached=bool(test.get("cached")),
            is_flaky=scenario["status"] == "flaky" or stands_for_test,
            stdout=_streams(scenario["commands"], "stdout"),
            stderr=_streams(scenario["commands"], "stderr"),
        )


def _expectations(test: Mapping[str, Any]) -> Iterator[Case]:
    taken = {scenario["name"] for scenario in test["scenarios"]}
    for result in test["expectations"]:
        name = f"{result['scenario']}::{result['id']}" if result.get("scenario") else result["id"]
        name = f"expect {name}" if name in taken else name
        taken.add(name)
        place = f"{result['file']}:{result['line']}" if result.get("file") else ""
        facts = [
            f"{word}: {value_text(result[word])}"
            for word in ("expected", "actual", "reason")
            if result.get(word) is not None
        ]
        yield Case(
            test=test["id"],
            name=name,
            outcome=_OUTCOMES[result["status"]],
            message=result["message"],
            detail="\n".join([*([place] if place else []), *facts]),
            code=_code(result),
            is_cached=bool(test.get("cached")),
        )


def _code(result: Mapping[str, Any]) -> str:
    if result["status"] == "not-evaluated":
        return "CLN612"
    return "CLN607" if result.get("reason") == "no-spans" else "CLN608"


def _deciding(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [f for f in findings if f["severity"] == "error" or f["code"] in {"CLN612", "CLN614", "CLN707"}]


def _sentence(finding: Mapping[str, Any]) -> str:
    place = f"{finding['file']}:{finding['line']}: " if finding.get("file") and finding.get("line") else ""
    return f"{place}{finding['code']} {finding['message']}"


def _command(command: Mapping[str, Any]) -> str:
    argv = " ".join(map(str, command.get("argv") or ()))
    return f"{command['name']}: {argv} (exit code {command.get('exit_code')})"


def _streams(commands: Sequence[Mapping[str, Any]], stream: str) -> str:
    return "".join(command.get(stream) or "" for command in commands)


# -------------------------------------------------------------------------------------------- differences


def diff_cases(compared: Compared) -> list[Case]:
    """A case for each cause that counts; one for a comparison that is the same or came to no verdict.

    The first causes are told whole, those after them in one sentence, and the last case counts what is beyond
    the limit: however much differs, the file stays one that CI can read.
    """
    name = "diff" if compared.scenario is None else f"{compared.scenario}::diff"
    diff = compared.diff
    causes = compared.causes
    if diff is None or not causes or compared.status not in {"changed", "rejected"}:
        return [_comparison(compared, name)]
    cases = [_whole_cause(compared, diff, cause, name) for cause in causes[:MOST_CAUSES]]
    cases[0] = replace(cases[0], quieted=diff.quieted)
    cases += [_short_cause(compared, cause, name) for cause in causes[MOST_CAUSES:_MOST_CASES]]
    if left := causes[_MOST_CASES:]:
        cases.append(_differs(compared, f"{name} more", causes_left(left)))
    return cases


def _differs(compared: Compared, name: str, message: str) -> Case:
    """What every case of a difference has."""
    facts = {
        "status": compared.status,
        "code": compared.code or "",
        "baseline": compared.file or "",
        "version": "" if compared.version is None else str(compared.version),
        "composed": "true" if compared.composed else "",
    }
    return Case(
        test=compared.test_id,
        name=name,
        outcome="failed",
        message=message,
        detail="\n".join(_advice(compared)),
        code=compared.code or "CLN704",
        properties={name: value for name, value in facts.items() if value},
    )


def _short_cause(compared: Compared, cause: Cause, name: str) -> Case:
    case = _differs(compared, f"{name} {cause.cause_id}", _cause_message(cause))
    facts = {"cause_id": cause.cause_id, "edits": str(len(cause.edits))}
    return replace(case, properties={**case.properties, **facts})


def _whole_cause(compared: Compared, diff: Diff, cause: Cause, name: str) -> Case:
    """Also its edits, and its spans as a tree, which costs as much as all spans."""
    case = _short_cause(compared, cause, name)
    return replace(
        case,
        detail=_cause_detail(compared, diff, cause),
        stdout=cause_tree(diff, cause),
        properties={**case.properties, "edit_ids": " ".join(cause.edits[:_MOST_IDS])},
    )


def cause_tree(diff: Diff, cause: Cause) -> str:
    """The spans that a cause concerns, with what is above them, as a text tree."""
    if not diff.spans:
        # A report that was read back keeps edits and no spans.
        return ""
    mine = frozenset(cause.edits)
    pairs = [(pair, tuple(one for one in pair.edits if one in mine)) for pair in diff.spans]
    part = replace(
        diff,
        edits=tuple(edit for edit in diff.edits if edit.edit_id in mine),
        causes=(cause,),
        spans=tuple(pair._replace(status=pair.status if own else "same", edits=own) for pair, own in pairs),
        ignored={},
        notes=(),
        # The edits of one cause do not turn the one trace into the other.
        certified=False,
    )
    shared = [sentence(edit) for edit in part.edits if edit.is_shared]
    rest = "unchanged" if len(diff.causes) == 1 else "more"
    lines = shared + [guide + text for guide, text, _ in rows(part, width=_TREE_WIDTH, rest=rest)]
    left = len(lines) - _TREE_LINES
    more = [f"… {number_text(left, 'more line')}"] if left > 0 else []
    return "\n".join([*lines[:_TREE_LINES], *more]) + "\n"


def _cause_message(cause: Cause) -> str:
    edits = len(cause.edits)
    return cause.message if edits == 1 else f"{cause.message} ({number_text(edits, 'edit')})"


def _comparison(compared: Compared, name: str) -> Case:
    findings = compared.diagnostics
    errors = [finding for finding in findings if finding.severity == "error"]
    outcome: Outcome = "failed" if errors else "skipped"
    if compared.status in {"incomplete", "error"}:
        outcome = "error" if compared.status == "error" else "not-evaluated"
    elif compared.status == "same" or (not findings and not compared.differs):
        outcome = "passed"
    elif compared.differs and compared.code is None:
        outcome = "failed"
    first = (errors or [*findings])[:1]
    return Case(
        test=compared.test_id,
        name=name,
        outcome=outcome,
        message="" if outcome == "passed" else (first[0].message if first else counts_text(compared)),
        detail="\n".join([*(_sentence(finding.to_json()) for finding in findings), *_advice(compared)]),
        code=first[0].code if first else (compared.code or "CLN704"),
        properties={
            name: value
            for name, value in (
                ("status", compared.status),
                ("code", compared.code),
                ("baseline", compared.file),
            )
            if value
        },
        quieted={} if compared.diff is None else compared.diff.quieted,
    )


def _advice(compared: Compared) -> list[str]:
    """How to see it again and decide: what findings say to do."""
    hints = [finding.hint for finding in compared.diagnostics if finding.hint]
    return hints[:1] or ([] if compared.code is None else [f"review: clnrm review '{compared.id}'"])


def _cause_detail(compared: Compared, diff: Diff, cause: Cause) -> str:
    lines = []
    for edit_id in cause.edits[:_EDITS_IN_DETAIL]:
        edit = diff.by_id[edit_id]
        reason = f"\n  {edit.reason}" if edit.reason else ""
        lines.append(f"{place_text(edit)}: {edit_text(edit)} ({edit_id}){reason}")
    left = len(cause.edits) - _EDITS_IN_DETAIL
    if left > 0:
        lines.append(f"and {number_text(left, 'more edit')}")
    return "\n".join([*lines, *_advice(compared)])
