"""From drafts to edits: paths, ids that are the same in every run that shows the same edit, requirements."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.content import PER_MILLE, blank
from clnrm_nb.diff.model import Edit, edit_id
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.diff.drafts import Draft
    from clnrm_nb.diff.side import Side

__all__ = ["identify"]

_STRUCTURAL: Final = frozenset({"insert", "delete", "wrap", "unwrap"})


def identify(drafts: Sequence[Draft], baseline: Side, current: Side) -> list[Edit]:
    """Edits in the order of their drafts.

    Equal descriptors, which identical siblings have, are told apart by a running number in the id.
    """
    seen: Counter[str] = Counter()
    made: list[Edit] = []
    paths_a, paths_b = _Paths(baseline), _Paths(current)
    for draft in drafts:
        before, after = draft.whole, draft.whole
        if before is None:
            before = None if draft.at is None else paths_a.of(draft.at)
            after = None if draft.at_b is None else paths_b.of(draft.at_b)
        parts = [draft.op, before, after, draft.key, draft.old, draft.new]
        name = edit_id("e", *parts)
        seen[name] += 1
        if seen[name] > 1:
            name = edit_id("e", *parts, seen[name])
        service = _service(draft, baseline, current)
        made.append(
            Edit(
                edit_id=name,
                cause_id=_cause(draft, service, after or before or ""),
                op=draft.op,
                path=after,
                baseline_path=before,
                key=draft.key,
                baseline=draft.old,
                current=draft.new,
                cost=draft.cost,
                counted=draft.counted,
                rule=draft.rule,
                reason=draft.reason,
                score=draft.score / PER_MILLE,
                runner_up=draft.runner_up,
                service=service,
                baseline_spans=draft.spans,
                current_spans=draft.spans_b,
                patch=draft.patch,
            )
        )
    for place, draft in enumerate(drafts):
        if draft.requires:
            needs = tuple(made[needed].edit_id for needed in sorted(draft.requires))
            object.__setattr__(made[place], "requires", needs)
    return made


class _Paths:
    """Paths of a side, each span's once."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._found: dict[int, str] = {}

    def of(self, number: int) -> str:
        found = self._found.get(number)
        if found is None:
            found = self._found[number] = self._side.path(number)
        return found


def _service(draft: Draft, baseline: Side, current: Side) -> str:
    if draft.at is not None:
        return baseline.service(draft.at)
    assert draft.at_b is not None
    return current.service(draft.at_b)


def _cause(draft: Draft, service: str, path: str) -> str:
    if draft.op in _STRUCTURAL:
        return edit_id("c", draft.op, service, draft.key, _name(draft.old), _name(draft.new))
    if draft.op == "count":
        # Numbers alone have nothing in common; those of one name have.
        return edit_id("c", draft.op, service, path.rpartition("/")[2], None, None)
    return edit_id("c", draft.op, service, draft.key, _blanked(draft.old), _blanked(draft.new))


def _name(value: Any) -> str | None:
    return None if value is None else blank(value["name"])


def _blanked(value: Any) -> str | None:
    return None if value is None else blank(canonical_json(value))
