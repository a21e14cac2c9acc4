"""What a diff is: typed edits, what they have in common, and one status for every span of both sides.

Spans are named by their *number*: their place in a pre-order walk of the canonical form of their side
(``format.md`` 8.1), the same for equal traces on every machine. Paths are for people: names from the root
down, joined by ``/``, never unique. An edit also carries its :class:`Patch`, which
:func:`clnrm_nb.diff.apply.apply` uses to bring a baseline up to it; the patch is no part of the JSON.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "COSTS",
    "OPS",
    "STATUSES",
    "Cause",
    "Diff",
    "Edit",
    "Graft",
    "Patch",
    "RunnerUp",
    "SpanPair",
    "SpanStatus",
    "edit_id",
]

SpanStatus = Literal["same", "changed", "added", "missing", "moved", "renamed"]

STATUSES: Final[tuple[SpanStatus, ...]] = ("same", "changed", "added", "missing", "moved", "renamed")
"""Statuses of a span, in the order of ``format.md`` 8.2."""

OPS: Final = (
    "attr~",
    "attr+",
    "attr-",
    "resource~",
    "resource+",
    "resource-",
    "status",
    "event+",
    "event-",
    "event~",
    "link+",
    "link-",
    "kind",
    "scope",
    "service",
    "rename",
    "move",
    "wrap",
    "unwrap",
    "count",
    "insert",
    "delete",
    "order",
    "duration",
)
"""Operations, in the order of ``format.md`` 8.2."""

COSTS: Final[Mapping[str, int]] = {
    "attr~": 2,
    "attr+": 2,
    "attr-": 2,
    "resource~": 2,
    "resource+": 2,
    "resource-": 2,
    "status": 3,
    "message": 2,
    "event+": 3,
    "event-": 3,
    "event~": 2,
    "link+": 3,
    "link-": 3,
    "kind": 4,
    "scope": 4,
    "service": 6,
    "rename": 4,
    "move": 6,
    "wrap": 6,
    "unwrap": 6,
    "count": 4,
    "insert": 4,
    "delete": 4,
    "order": 3,
    "duration": 3,
}
"""What one edit costs; ``count`` adds one a copy, ``insert`` and ``delete`` two a span; ``message``: status
message alone."""


@dataclass(frozen=True, slots=True)
class Graft:
    """A span that an edit creates.

    Parameters
    ----------
    number : int
        Its number in the current side.
    parent : tuple of (str, int) or None
        ``("baseline", number)`` or ``("current", number)`` of a graft; ``None`` at the top of a trace.
    content : dict
        The span in canonical form, without ``children``.
    """

    number: int
    parent: tuple[str, int] | None
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Patch:
    """How to apply one edit to the baseline's canonical form.

    Parameters
    ----------
    nodes : tuple of int
        Spans of the baseline whose content is set.
    sets : tuple of (tuple of str, any)
        New values by path inside a span's content, such as ``("attributes", "http.method")``; a value of
        ``Patch.GONE`` removes the key.
    take, put : tuple of (str, str)
        Items, as canonical JSON, taken out of or put into ``events`` or ``links``.
    rekey : tuple of (str, str) or None
        An attribute key to rename.
    grafts : tuple of Graft
        Spans to create.
    parents : tuple of (int, tuple of (str, int) or None)
        New parents of spans of the baseline.
    removed : tuple of int
        Spans of the baseline that go; what stays below them needs a new parent from another edit.
    lifted : bool
        Children of the removed spans take their place (``unwrap``).
    """

    nodes: tuple[int, ...] = ()
    sets: tuple[tuple[tuple[str, ...], Any], ...] = ()
    take: tuple[tuple[str, str], ...] = ()
    put: tuple[tuple[str, str], ...] = ()
    rekey: tuple[str, str] | None = None
    grafts: tuple[Graft, ...] = ()
    parents: tuple[tuple[int, tuple[str, int] | None], ...] = ()
    removed: tuple[int, ...] = ()
    lifted: bool = False

    GONE = "\0gone"


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The best other span that the span of an edit could have been taken for.

    Parameters
    ----------
    path : str
        Its path, on the baseline's side; for what is missing, on the current one.
    score : float
        How alike the two are, 0 to 1.
    cost : int
        What they would cost as one, with what came or went below them.
    is_free : bool
        Whether nobody is its partner; else it has one that it is to keep.
    """

    path: str
    score: float
    cost: int
    is_free: bool

    def to_json(self) -> dict[str, Any]:
        """As in :meth:`Edit.to_json`."""
        return {"path": self.path, "score": self.score, "cost": self.cost, "is_free": self.is_free}


@dataclass(frozen=True, slots=True)
class Edit:
    """One difference, as small as a person can decide about it.

    Parameters
    ----------
    edit_id, cause_id : str
        Stable between runs (``format.md`` 8.2).
    op : str
        One of :data:`OPS`.
    path, baseline_path : str or None
        Names from the root to the span; ``None`` on the side where there is none, and for edits of a whole
        trace (a service, a scope, a resource, a key on all its spans) the service's name or ``""``.
    key : str or None
        Attribute key, event name, link target; ``old → new`` where a key was renamed.
    baseline, current : any
        Old and new value; for subtrees ``{"name", "service", "spans", "digest"}``; for counts the numbers.
    cost : int
        By :data:`COSTS`.
    counted : bool
        False: shown, but the traces count as equal without it (volatile, or quieted by a rule).
    rule : str
        What paired the spans, or which rule quieted the edit.
    reason : str
        One sentence: why this edit and not another one.
    service : str
        Service of the first span concerned.
    baseline_spans, current_spans : tuple of int
        Numbers of the spans concerned.
    requires : tuple of str
        Edits that must be applied with this one.
    score : float
        How alike the spans are that it holds for one, 0 to 1 (the first of many); 0 where it holds none.
    runner_up : RunnerUp or None
        What else the first span could have been; ``None``: there is nothing like it.
    patch : Patch
        How to apply it; empty for edits that are not counted.
    """

    edit_id: str
    cause_id: str
    op: str
    path: str | None
    baseline_path: str | None
    key: str | None
    baseline: Any
    current: Any
    cost: int
    counted: bool = True
    rule: str = ""
    reason: str = ""
    service: str = ""
    baseline_spans: tuple[int, ...] = ()
    current_spans: tuple[int, ...] = ()
    requires: tuple[str, ...] = ()
    score: float = 0.0
    runner_up: RunnerUp | None = None
    patch: Patch = field(default_factory=Patch, repr=False, compare=False)

    @property
    def is_shared(self) -> bool:
        """Whether it is one change of many spans, such as a renamed service, that no single one tells."""
        return len(self.current_spans) > 1 and self.op not in {"insert", "count"}

    def to_json(self) -> dict[str, Any]:
        """The form of ``format.md`` 8.2."""
        return {
            "edit_id": self.edit_id,
            "cause_id": self.cause_id,
            "op": self.op,
            "path": self.path,
            "baseline_path": self.baseline_path,
            "key": self.key,
            "baseline": self.baseline,
            "current": self.current,
            "cost": self.cost,
            "counted": self.counted,
            "rule": self.rule,
            "reason": self.reason,
            "score": self.score,
            "runner_up": None if self.runner_up is None else self.runner_up.to_json(),
        }


class SpanPair(NamedTuple):
    """One span of either or both sides, with its one status.

    Parameters
    ----------
    status : str
        One of :data:`STATUSES`.
    name, baseline_name : str or None
        Names; ``None`` on the side where it is not.
    service : str
        Its current service, else the baseline's.
    baseline, current : int or None
        Numbers in the canonical forms.
    baseline_row, current_row : int or None
        Rows in the tables that were compared; ``None`` where a side was no table.
    parent : int or None
        Index of its parent in :attr:`Diff.spans`: the current one, for a missing span the baseline's.
    depth : int
        Levels below the top of that merged tree.
    edits : tuple of str
        Ids of the counted edits that concern it.
    """

    status: SpanStatus
    name: str | None
    baseline_name: str | None
    service: str
    baseline: int | None
    current: int | None
    baseline_row: int | None
    current_row: int | None
    parent: int | None
    depth: int
    edits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """Edits that one decision settles: the same change in many places.

    Parameters
    ----------
    cause_id : str
        Shared by its edits.
    message : str
        One sentence.
    edits : tuple of str
        Ids, in the order of display.
    cost : int
        Sum of the costs.
    counted : bool
        Whether any of its edits counts.
    """

    cause_id: str
    message: str
    edits: tuple[str, ...]
    cost: int
    counted: bool = True

    def to_json(self) -> dict[str, Any]:
        """The form of ``format.md`` 11.3."""
        return {"cause_id": self.cause_id, "message": self.message, "edits": list(self.edits)}


@dataclass(frozen=True)
class Diff:
    """A certified list of edits that turns the baseline into the current trace.

    Parameters
    ----------
    baseline_digest, trace_digest : str
        Trace digests of both sides.
    certified : bool
        Applying all edits to the baseline gave the current digest. Always true on what
        :func:`clnrm_nb.diff.compare` returns.
    edits : tuple of Edit
        Counted ones first, by cause, then position.
    causes : tuple of Cause
        In the order of display.
    spans : tuple of SpanPair
        Every span of both sides once, in pre-order of the merged tree.
    ignored : mapping of str to int
        Values that were left out of the comparison, by key.
    notes : tuple of str
        What a reader should know: cut cycles, orphans, scope versions.
    matched : mapping of str to int
        How many edits and checked spans each tolerance rule was about, by its id.
    """

    baseline_digest: str
    trace_digest: str
    certified: bool
    edits: tuple[Edit, ...] = ()
    causes: tuple[Cause, ...] = ()
    spans: tuple[SpanPair, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    matched: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything counts."""
        return any(edit.counted for edit in self.edits)

    @property
    def is_same(self) -> bool:
        """No counted edit."""
        return not self

    @cached_property
    def counted(self) -> tuple[Edit, ...]:
        """The edits that count."""
        return tuple(edit for edit in self.edits if edit.counted)

    @cached_property
    def cost(self) -> int:
        """Sum over the counted edits."""
        return sum(edit.cost for edit in self.counted)

    @cached_property
    def totals(self) -> dict[str, int]:
        """Spans by status, every word of :data:`STATUSES`."""
        found = Counter(pair.status for pair in self.spans)
        return {status: found[status] for status in STATUSES}

    @cached_property
    def quieted(self) -> dict[str, int]:
        """Edits that do not count, by rule; what only several rules quiet together, under each of them."""
        return dict(
            Counter(rule for edit in self.edits if not edit.counted for rule in edit.rule.split(", "))
        )

    @cached_property
    def by_id(self) -> dict[str, Edit]:
        """Edits by ``edit_id``."""
        return {edit.edit_id: edit for edit in self.edits}

    def closure(self, ids: Iterable[str]) -> tuple[Edit, ...]:
        """The edits with these edit or cause ids and all edits they require, in the order of :attr:`edits`.

        Raises
        ------
        KeyError
            No edit or cause has that id.
        """
        by_cause: dict[str, list[str]] = {}
        for edit in self.edits:
            by_cause.setdefault(edit.cause_id, []).append(edit.edit_id)
        todo: list[str] = []
        for wanted in ids:
            todo.extend([wanted] if wanted in self.by_id else by_cause[wanted])
        chosen: set[str] = set()
        while todo:
            current = todo.pop()
            if current not in chosen:
                chosen.add(current)
                todo.extend(self.by_id[current].requires)
        return tuple(edit for edit in self.edits if edit.edit_id in chosen)

    def to_json(
        self, diff_id: str = "", *, status: str | None = None, composed: bool = False
    ) -> dict[str, Any]:
        """One entry of ``data.diffs`` (``format.md`` 11.3).

        Parameters
        ----------
        diff_id : str
            Of the scenario compared.
        status : str, optional
            The baseline's verdict; without one ``same`` or ``changed``.
        composed : bool
            Whether the baseline was patched together.
        """
        return {
            "id": diff_id,
            "status": status or ("changed" if self else "same"),
            "baseline_digest": self.baseline_digest,
            "trace_digest": self.trace_digest,
            "composed": composed,
            "certified": self.certified,
            "spans": self.totals,
            "edits": [edit.to_json() for edit in self.edits],
            "causes": [cause.to_json() for cause in self.causes],
        }


def edit_id(prefix: str, *parts: Any) -> str:
    """`prefix` and the first 12 hex digits of the SHA-256 of the canonical JSON of `parts`."""
    return prefix + hashlib.sha256(canonical_json(list(parts)).encode()).hexdigest()[:12]
