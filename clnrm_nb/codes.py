"""Every code of this package: its severity, its condition, and what follows from it.

The one table from code to test status and exit code (``format.md`` 4 and 11.2 are its source; a test
compares the two where that file is at hand). Nothing else in the package decides a status or an exit code
from a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CODES", "EXIT_INTERRUPTED", "SEVERITIES", "STATUSES", "Code", "Severity", "Status"]

Severity = Literal["error", "warning", "info"]
Status = Literal["passed", "failed", "error", "incomplete", "cached", "flaky", "skipped", "interrupted"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")

STATUSES: Final[tuple[Status, ...]] = (
    "passed",
    "failed",
    "error",
    "incomplete",
    "cached",
    "flaky",
    "skipped",
    "interrupted",
)
"""Statuses of tests, scenarios and steps, in the order of every summary, report and category."""

EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means.

    Parameters
    ----------
    condition : str
        When it is reported, in a few words.
    severity : {"error", "warning", "info"}
        Its severity; a finding may carry another where the condition says so.
    status : str or None
        Status it gives the test when it is an error (CLN612 and CLN614 also as warnings).
    exit_code : int
        Exit status it gives the command then.
    """

    condition: str
    severity: Severity
    status: Status | None
    exit_code: int


CODES: Final[dict[str, Code]] = {
    "CLN001": Code("file or directory missing or unreadable", "error", "error", 2),
    "CLN002": Code("not UTF-8", "error", "error", 2),
    "CLN004": Code("no scenario file found", "error", "error", 2),
    "CLN005": Code("template and plain twin", "warning", None, 0),
    "CLN006": Code("template library", "info", None, 0),
    "CLN007": Code("coverage manifest", "info", None, 0),
    "CLN101": Code("template syntax", "error", "error", 2),
    "CLN102": Code("undefined variable", "error", "error", 2),
    "CLN103": Code("unknown function, filter, test, macro or attribute", "error", "error", 2),
    "CLN104": Code("missing, unknown or ill-typed argument", "error", "error", 2),
    "CLN105": Code("evaluation failed", "error", "error", 2),
    "CLN106": Code("environment variable unset", "error", "error", 2),
    "CLN107": Code("template not found or outside the project", "error", "error", 2),
    "CLN108": Code("rendering limit", "error", "error", 2),
    "CLN109": Code("object printed", "error", "error", 2),
    "CLN110": Code("blank expression", "warning", None, 0),
    "CLN111": Code("opener without closer", "warning", None, 0),
    "CLN112": Code("markers in the output of an expression", "warning", None, 0),
    "CLN113": Code("bad matrix", "error", "error", 2),
    "CLN114": Code("large matrix", "warning", None, 0),
    "CLN201": Code("TOML syntax", "error", "error", 2),
    "CLN202": Code("duplicate key or table, or value reopened as table", "error", "error", 2),
    "CLN203": Code("TOML 1.1 syntax under `--strict-toml 1.0`", "error", "error", 2),
    "CLN204": Code("number out of 64-bit range", "error", "error", 2),
    "CLN301": Code("unknown key", "warning", None, 0),
    "CLN302": Code("known key without effect", "info", None, 0),
    "CLN303": Code("wrong type", "error", "error", 2),
    "CLN304": Code("required key missing", "error", "error", 2),
    "CLN305": Code("blank or empty value", "error", "error", 2),
    "CLN306": Code("not one of the allowed words", "error", "error", 2),
    "CLN307": Code("value out of range", "error", "error", 2),
    "CLN308": Code("alias or older spelling", "info", None, 0),
    "CLN309": Code("two spellings of one thing, or exclusive keys", "error", "error", 2),
    "CLN310": Code("no metadata", "error", "error", 2),
    "CLN311": Code("nothing to run", "error", "error", 2),
    "CLN312": Code("bad duration", "error", "error", 2),
    "CLN313": Code("bad date-time", "error", "error", 2),
    "CLN314": Code("bad regex", "error", "error", 2),
    "CLN315": Code("bad glob", "error", "error", 2),
    "CLN316": Code("bad artifact spec", "error", "error", 2),
    "CLN317": Code("table must not be empty", "error", "error", 2),
    "CLN318": Code("edge without exactly two names", "error", "error", 2),
    "CLN319": Code("lower bound above upper", "error", "error", 2),
    "CLN320": Code("accepted, not implemented", "warning", None, 0),
    "CLN321": Code("plugin word mapped", "warning", None, 0),
    "CLN322": Code("unknown plugin without image", "error", "error", 2),
    "CLN323": Code("command string cannot be split", "error", "error", 2),
    "CLN324": Code("exporter variable set by the file is overridden", "info", None, 0),
    "CLN325": Code("bad tolerance rule", "error", "error", 2),
    "CLN401": Code("unknown service", "error", "error", 2),
    "CLN402": Code("ambiguous service", "info", None, 0),
    "CLN403": Code("dependency cycle (`depends_on`)", "error", "error", 2),
    "CLN404": Code("cycle in must_precede ∪ reversed must_follow", "error", "error", 2),
    "CLN405": Code("duplicate scenario name", "error", "error", 2),
    "CLN406": Code("order of spans that are ancestor and descendant by `must_include`", "warning", None, 0),
    "CLN407": Code("expectation can never pass", "warning", None, 0),
    "CLN408": Code("fixed host port in two services", "warning", None, 0),
    "CLN409": Code("fixed host port below 1024", "warning", None, 0),
    "CLN410": Code("mount onto a system path", "warning", None, 0),
    "CLN411": Code("container socket mounted", "error", "error", 2),
    "CLN412": Code("bad environment name", "warning", None, 0),
    "CLN413": Code("literal secret", "warning", None, 0),
    "CLN414": Code("unknown span in graph, order or window", "warning", None, 0),
    "CLN416": Code("malformed image reference", "error", "error", 2),
    "CLN501": Code("no description", "warning", None, 1),
    "CLN502": Code("`otel` without `sample_ratio`", "warning", None, 1),
    "CLN503": Code("scenario name outside `[A-Za-z0-9_-]`", "warning", None, 1),
    "CLN504": Code("image without tag, or `latest`", "warning", None, 1),
    "CLN505": Code("no expectation at all", "warning", None, 1),
    "CLN506": Code("shell pipeline without `pipefail`", "warning", None, 1),
    "CLN507": Code("nondeterministic rendering under `[determinism]`", "warning", None, 1),
    "CLN508": Code("keys or tables out of order, spacing", "warning", None, 1),
    "CLN601": Code(
        "backend unavailable, or the receiver cannot be reached from its containers", "error", "error", 3
    ),
    "CLN602": Code("image cannot be pulled", "error", "failed", 1),
    "CLN603": Code("service not ready", "error", "failed", 1),
    "CLN604": Code("timeout", "error", "failed", 1),
    "CLN605": Code("exit code", "error", "failed", 1),
    "CLN606": Code("output mismatch", "error", "failed", 1),
    "CLN607": Code("no spans", "error", "failed", 1),
    "CLN608": Code("expectation failed", "error", "failed", 1),
    "CLN609": Code("span records rejected", "warning", None, 0),
    "CLN610": Code("something was left behind", "error", "failed", 1),
    "CLN611": Code("not supported by the backend", "warning", None, 0),
    "CLN612": Code("not evaluated", "warning", "incomplete", 1),
    "CLN613": Code("duplicate (trace_id, span_id) with other content", "warning", None, 0),
    "CLN614": Code("trace incomplete", "warning", "incomplete", 1),
    "CLN615": Code("stray spans", "warning", None, 0),
    "CLN616": Code("container option refused", "error", "error", 2),
    "CLN617": Code("hermetic test on a non-hermetic backend", "error", "error", 2),
    "CLN618": Code("nothing to replay", "error", "error", 2),
    "CLN701": Code("no baseline (missing)", "error", "failed", 1),
    "CLN702": Code("baseline damaged", "error", "error", 2),
    "CLN703": Code("baseline of a newer format", "error", "error", 2),
    "CLN704": Code("trace differs from the baseline (changed)", "error", "failed", 1),
    "CLN705": Code("rejected", "error", "failed", 1),
    "CLN706": Code("unused baseline", "warning", None, 1),
    "CLN707": Code("comparison incomplete", "error", "incomplete", 1),
    "CLN708": Code("stale tolerance rule", "warning", None, 0),
    "CLN801": Code("unknown configuration key", "warning", None, 0),
    "CLN802": Code("bad configuration value", "error", None, 2),
    "CLN803": Code("configuration file cannot be parsed", "error", None, 2),
    "CLN804": Code("cache unreadable, rebuilt", "warning", None, 0),
    "CLN805": Code("state directory locked", "error", None, 2),
    "CLN806": Code(
        "setting that only the user may make, in a project file or project configuration", "error", None, 2
    ),
    "CLN807": Code("audit: a fresh run differs from the stored result", "error", "failed", 1),
    "CLN808": Code("`watch` is switched off", "error", None, 2),
    "CLN901": Code("internal error", "error", "error", 3),
}
