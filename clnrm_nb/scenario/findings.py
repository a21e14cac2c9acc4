"""Findings on their way: what readers of a document have to say, by key path, before anybody knows a line.

Reading a correct file must cost nothing for positions. So whoever reads names the *key path* and which part
of it is meant; only when there is something to say does :func:`locate_all` ask the document for places.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from clnrm_nb.codes import CODES
from clnrm_nb.errors import Diagnostic, Fix, Location, Related

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.codes import Severity
    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.scenario.repairs import Repair

__all__ = ["Finding", "Findings", "Locator", "Part", "label", "locate_all", "type_name"]

Part = Literal["key", "value", "header", "file"]
"""Which part of a key path is meant: key, value, header (or inline table), or line 1 of the file."""


class Locator(Protocol):
    """Whoever knows where a key path stands in the file a person edits."""

    def locate(self, path: KeyPath, part: Part = "value") -> Location:
        """The place of `part` of `path`."""
        ...

    def put(self, finding: Diagnostic, path: KeyPath, part: Part = "value") -> Diagnostic:
        """`finding` at `part` of `path`, with the place in the rendered text where that is another one."""
        ...

    def fix(self, repair: Repair) -> Fix | None:
        """`repair` as edits of the file; ``None`` where it would touch what is not typed there."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about a key path, and what would put it right."""

    code: str
    path: KeyPath
    message: str
    part: Part = "value"
    hint: str | None = None
    severity: Severity | None = None
    related: tuple[tuple[KeyPath, str], ...] = ()
    repair: Repair | None = None
    lacks: str | None = None
    """The key whose absence it is about, where it is one."""


@dataclass(slots=True)
class Findings:
    """Collects findings; every reader of a document gets the same one."""

    items: list[Finding] = field(default_factory=list)

    def add(
        self,
        code: str,
        path: KeyPath,
        message: str,
        *,
        part: Part = "value",
        hint: str | None = None,
        severity: Severity | None = None,
        related: tuple[tuple[KeyPath, str], ...] = (),
        repair: Repair | None = None,
        lacks: str | None = None,
    ) -> None:
        """Note one finding."""
        self.items.append(Finding(code, path, message, part, hint, severity, related, repair, lacks))

    def wrong_type(self, path: KeyPath, expected: str, value: object, repair: Repair | None = None) -> None:
        """CLN303: `value` at `path` is not `expected`."""
        message = f"`{label(path)}`: expected {expected}, got {type_name(value)}"
        self.add("CLN303", path, message, repair=repair)


def label(path: KeyPath) -> str:
    """The last key of `path` with its indices, as messages name it: ``ports[0]``."""
    tail = ""
    for part in reversed(path):
        if isinstance(part, str):
            return part + tail
        tail = f"[{part}]{tail}"
    return tail or "file"


def type_name(value: object) -> str:
    """The TOML name of the type of `value`."""
    for kind, name in _TYPE_NAMES:
        if isinstance(value, kind):
            return name
    return "date-time"


# bool stands before int because every bool is one.
_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (str, "string"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "float"),
    (list, "array"),
    (dict, "table"),
)


def locate_all(findings: Iterable[Finding], locator: Locator) -> list[Diagnostic]:
    """The findings as diagnostics, each at its place in the source."""
    return [_located(finding, locator) for finding in findings]


def _located(finding: Finding, locator: Locator) -> Diagnostic:
    severity = finding.severity or CODES[finding.code].severity
    bare = Diagnostic(finding.code, finding.message, hint=finding.hint, severity=severity)
    related = tuple(_related(path, message, locator) for path, message in finding.related)
    fix = locator.fix(finding.repair) if finding.repair is not None else None
    return replace(locator.put(bare, finding.path, finding.part), related=related, fix=fix)


def _related(path: KeyPath, message: str, locator: Locator) -> Related:
    place = locator.locate(path, "key")
    return Related(place.file, place.line, place.column, message)
