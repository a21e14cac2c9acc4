"""Which decision made which line of a baseline file, down to the attribute.

As ``git blame``, with two differences that the file's form allows: a span is known by its id, which is kept
from version to version, so that a line that moved is no new line; and each attribute of a span has a history
of its own. A decision that was undone made nothing. After a merge of two branches both of them count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from clnrm_nb.baseline.difference import difference
from clnrm_nb.baseline.facts import Facts
from clnrm_nb.baseline.files import header_of, parse, write
from clnrm_nb.diff import DiffOptions
from clnrm_nb.errors import ClnrmError
from clnrm_nb.spans.canonical import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clnrm_nb.baseline.decisions import Decision, DecisionLog
    from clnrm_nb.baseline.facts import Fact, Kind
    from clnrm_nb.baseline.versions import Origin
    from clnrm_nb.diff import Edit

__all__ = ["Blamed", "blame"]

FILE_ACTIONS: Final = frozenset({"accept", "restore"})


@dataclass(frozen=True, slots=True)
class Blamed:
    """A line of the file, or a part of a span that came later than its line.

    Parameters
    ----------
    line : int
        From 1.
    kind : {"header", "resource", "scope", "span"}
    path : str
        Names of spans from the root; of another line what it is about.
    span_id : str or None
        The span's name in the file.
    part : str
        ``""``: the line itself; else ``name``, ``kind``, ``parent``, ``status``, ``service``, ``scope``,
        ``event NAME``, ``link``, or the key of an attribute.
    decision : Decision or None
        What made it; ``None``: no decision did, it came past the log.
    is_certain : bool
        False: it may have been an earlier decision, whose version neither this machine nor git has.
    edits : tuple of Edit
        The edits of that decision that made it, as a diff of the versions before and after tells; none for a
        first version.
    """

    line: int
    kind: Kind
    path: str
    span_id: str | None
    part: str
    decision: Decision | None
    is_certain: bool = True
    edits: tuple[Edit, ...] = ()


def blame(
    content: bytes,
    baseline_id: str,
    log: DecisionLog,
    after: Callable[[Decision], tuple[bytes, Origin] | None],
    *,
    name: str = "the file",
) -> list[Blamed]:
    """Who made the lines of a file.

    Parameters
    ----------
    content : bytes
        The file as it is.
    log : DecisionLog
    after : callable
        What a decision made of the file; ``None`` where nobody knows any more.
    name : str
        What messages call the file.

    Returns
    -------
    list of Blamed
        In the order of the file; after each line the parts of it that another decision made.

    Raises
    ------
    ClnrmError
        CLN702, CLN703: the file is damaged or newer.
    """
    baseline = parse(content, baseline_id, name=name)
    if content.count(b'\n{"traceId":') != len(baseline.table):
        # Somebody's editor has laid it out anew; it holds the same.
        form = canonical(baseline.table)
        content = write(
            baseline_id, baseline.version, form, before=baseline.table, composed=baseline.composed
        )
    return _Blame(content, baseline_id, log, after).rows()


class _Graph:
    """Decisions that wrote the file, each with those it came after; what was undone is not among them."""

    def __init__(self, log: DecisionLog, baseline_id: str) -> None:
        self._log = log
        self._id = baseline_id
        self._states: dict[str, tuple[str, ...]] = {}
        ordered = log.of(baseline_id)
        for decision in ordered:
            self._states[decision.hash] = self._state(decision)
        self.heads = self._joined(log.heads(baseline_id))
        self.newest_first = [one.hash for one in reversed(ordered) if one.action in FILE_ACTIONS]

    def decision(self, name: str | None) -> Decision | None:
        """By its name; ``None`` where its file is not in the log."""
        return None if name is None else self._log.get(self._id, name)

    def parents(self, name: str) -> tuple[str, ...]:
        """Decisions whose versions it started from."""
        decision = self.decision(name)
        return () if decision is None else self._joined(decision.parents)

    def _joined(self, names: Sequence[str]) -> tuple[str, ...]:
        # A name that is not in the log stands for itself: something was there that nobody knows.
        return tuple(dict.fromkeys(state for name in names for state in self._states.get(name, (name,))))

    def _state(self, decision: Decision) -> tuple[str, ...]:
        """The decisions that the file goes back to right after this one."""
        if decision.action in FILE_ACTIONS:
            return (decision.hash,)
        if decision.action != "undo":
            return self._joined(decision.parents)
        undone = self._log.standing_at(self._id, decision.parents)
        return self._joined(undone[-1].parents) if undone else ()


class _Blame:
    """One file being traced back; see :func:`blame`."""

    def __init__(
        self,
        content: bytes,
        baseline_id: str,
        log: DecisionLog,
        after: Callable[[Decision], tuple[bytes, Origin] | None],
    ) -> None:
        self._id = baseline_id
        self._after = after
        self._graph = _Graph(log, baseline_id)
        self._now = Facts(content)
        header = header_of(content) or {}
        self._digest = header.get("digest")
        self._texts: dict[str, Facts | None] = {}
        self._made: dict[Fact, tuple[str | None, bool]] = {}
        self._edits: dict[str, dict[str | None, tuple[Edit, ...]]] = {}

    def rows(self) -> list[Blamed]:
        self._trace()
        rows: list[Blamed] = []
        last = next((name for name in self._graph.heads if self._is_now(name)), None)
        head = self._graph.decision(last)
        rows.append(Blamed(1, "header", self._id, None, "", head))
        for number, kind, path, span_id, parts in self._now.lines:
            where = path if span_id is None else self._now.path(span_id)
            line_by = self._made[parts[0][1]][0]
            for part, fact in parts:
                name, is_certain = self._made[fact]
                if part and name == line_by:
                    continue
                decision = self._graph.decision(name)
                edits = self._edits_of(name, span_id, part)
                rows.append(Blamed(number, kind, where, span_id, part, decision, is_certain, edits))
        return rows

    # ..................................................................................... attribution

    def _trace(self) -> None:
        """Follow every fact back to the decision that brought it, all facts of a version together."""
        pending: dict[str | None, set[Fact]] = {None: set(self._now.facts)}
        for name in (None, *self._graph.newest_first):
            facts = pending.pop(name, None)
            if not facts:
                continue
            known, unknown = self._before(name)
            for parent in known:
                text = self._text(parent)
                assert text is not None
                older = {fact for fact in facts if text.facts.get(fact) == self._now.facts[fact]}
                pending.setdefault(parent, set()).update(older)
                facts -= older
            self._made.update((fact, (name, not unknown)) for fact in facts)

    def _before(self, name: str | None) -> tuple[list[str], bool]:
        """The nearest earlier decisions whose versions are known, and whether others lie between."""
        known: list[str] = []
        is_gap = False
        todo = list(self._graph.heads if name is None else self._graph.parents(name))
        seen: set[str] = set()
        while todo:
            one = todo.pop(0)
            if one in seen:
                continue
            seen.add(one)
            if self._graph.decision(one) is not None and self._text(one) is not None:
                known.append(one)
            else:
                is_gap = True
                todo.extend(self._graph.parents(one))
        return known, is_gap

    def _is_now(self, name: str) -> bool:
        decision = self._graph.decision(name)
        return decision is not None and decision.digest == self._digest

    def _text(self, name: str) -> Facts | None:
        if name not in self._texts:
            decision = self._graph.decision(name)
            assert decision is not None
            if self._is_now(name):
                self._texts[name] = self._now
                return self._now
            found = (self._after(decision) or (None,))[0]
            try:
                self._texts[name] = None if found is None else Facts(found)
            except (ValueError, KeyError, TypeError):
                self._texts[name] = None
        return self._texts[name]

    # ........................................................................................... edits

    def _edits_of(self, name: str | None, span_id: str | None, part: str) -> tuple[Edit, ...]:
        if name is None:
            return ()
        if name not in self._edits:
            self._edits[name] = self._diff(name)
        found = self._edits[name].get(span_id, ())
        narrow = tuple(edit for edit in found if part and part in (edit.key or "").split(" → "))
        return narrow or tuple(edit for edit in found if not part or edit.op in _OPS.get(part, ()))

    def _diff(self, name: str) -> dict[str | None, tuple[Edit, ...]]:
        """Edits by span, of the step from the version before."""
        known, _ = self._before(name)
        text = self._text(name)
        before = self._text(known[0]) if known else None
        if text is None or before is None:
            return {}
        try:
            old, new = (parse(one.content, self._id, name="") for one in (before, text))
        except ClnrmError:
            return {}
        diff = difference(old.table, new.table, DiffOptions(), digest=old.digest)
        found: dict[str | None, tuple[Edit, ...]] = {
            new.table.span_id[pair.current_row]: tuple(diff.by_id[one] for one in pair.edits)
            for pair in diff.spans
            if pair.current_row is not None
        }
        found[None] = tuple(
            edit for edit in diff.counted if edit.op.startswith(("resource", "service", "scope"))
        )
        return found


_OPS: Final = {
    "name": ("rename",),
    "kind": ("kind",),
    "parent": ("move", "wrap", "unwrap"),
    "status": ("status",),
    "service": ("service",),
    "scope": ("scope",),
    "link": ("link+", "link-"),
}
