"""How an edit is said: the same words in text, HTML, Markdown, JUnit and figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.sentences import is_rekeyed, short_path
from clnrm_nb.report.text import duration_text, number_text, value_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clnrm_nb.diff.model import Cause, Edit, SpanPair, SpanStatus
    from clnrm_nb.report.difflayout import Compared, DiffLayout

__all__ = [
    "MOST_CAUSES",
    "OP_WORDS",
    "causes_left",
    "change_texts",
    "counts_text",
    "edit_status",
    "edit_text",
    "edits_of",
    "edits_words",
    "pair_name",
    "place_text",
]

MOST_CAUSES: Final = 20
"""Of one comparison: text, annotations, Markdown and cases of CI alike tell no more of them whole."""

OP_WORDS: Final[Mapping[str, str]] = {
    "attr~": "attribute changed",
    "attr+": "attribute added",
    "attr-": "attribute removed",
    "resource~": "resource changed",
    "resource+": "resource key added",
    "resource-": "resource key removed",
    "status": "status changed",
    "event+": "event added",
    "event-": "event removed",
    "event~": "event changed",
    "link+": "link added",
    "link-": "link removed",
    "kind": "kind changed",
    "scope": "scope changed",
    "service": "service changed",
    "rename": "renamed",
    "move": "moved",
    "wrap": "wrapped in a new span",
    "unwrap": "span between went",
    "count": "number changed",
    "insert": "added",
    "delete": "missing",
    "order": "order changed",
    "duration": "duration changed",
}

_STATUS: Final[Mapping[str, SpanStatus]] = {
    "rename": "renamed",
    "move": "moved",
    "wrap": "added",
    "insert": "added",
    "unwrap": "missing",
    "delete": "missing",
}
_LONGEST: Final = 2_000
_LONGEST_PATH: Final = 240


def edit_status(edit: Edit) -> SpanStatus:
    """The status of the spans an edit touches (``format.md`` 8.2)."""
    if edit.op == "count":
        grows = _number(edit.current) >= _number(edit.baseline)
        return "added" if grows else "missing"
    return _STATUS.get(edit.op, "changed")


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else 0


def change_texts(edit: Edit) -> tuple[str | None, str | None]:
    """Old and new value; ``None`` on the side where there is none."""
    if edit.op == "count":
        return f"×{value_text(edit.baseline)}", f"×{value_text(edit.current)}"
    if edit.op == "move":
        return edit.baseline_path, edit.path
    if is_rekeyed(edit):
        return edit.baseline["key"], edit.current["key"]
    has_old = edit.op not in {"insert", "wrap"} and not edit.op.endswith("+")
    has_new = edit.op not in {"delete", "unwrap"} and not edit.op.endswith("-")
    old, new = (_value(edit.op, value) for value in (edit.baseline, edit.current))
    if has_old and has_new and old == new:
        # 1 and "1" look alike only as text.
        old, new = (json.dumps(value, ensure_ascii=False) for value in (edit.baseline, edit.current))
    return old if has_old else None, new if has_new else None


def _value(op: str, value: Any) -> str:
    if op == "duration" and isinstance(value, int | float):
        return duration_text(value)
    if op in _STATUS:
        return _subtree(value)
    if op == "status" and isinstance(value, dict) and "code" in value:
        return ": ".join(str(value[part]) for part in ("code", "message") if value.get(part))
    if op.startswith(("event", "link")) and value == {}:
        return "no attributes"
    return _text(value)


def _text(value: Any) -> str:
    text = value_text(value) if value != "" else '""'
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _subtree(value: Any) -> str:
    if not isinstance(value, dict) or "name" not in value:
        return _text(value)
    service = f" ({value['service']})" if value.get("service") else ""
    spans = value.get("spans")
    size = f", {number_text(spans, 'span')}" if isinstance(spans, int) and spans > 1 else ""
    return f"{value['name']}{service}{size}"


def edit_text(edit: Edit, arrow: str = "→") -> str:
    """``attribute changed http.status: 200 → 500``; of what is on one side only, that side's value."""
    texts = [text for text in change_texts(edit) if text is not None]
    if is_rekeyed(edit):
        return f"attribute renamed: {f' {arrow} '.join(texts)}"
    key = f" {edit.key}" if edit.key else ""
    return f"{OP_WORDS.get(edit.op, edit.op)}{key}: {f' {arrow} '.join(texts)}"


def _end(path: str | None) -> str | None:
    """Of a very long path the root and the end, where the span is."""
    return path if path is None or len(path) <= _LONGEST_PATH else short_path(path, _LONGEST_PATH)


def place_text(edit: Edit, arrow: str = "→") -> str:
    """The path of an edit; both, where they differ."""
    old, new = _end(edit.baseline_path), _end(edit.path)
    if old is not None and new is not None and old != new:
        return f"{old} {arrow} {new}"
    return (new if new is not None else old) or edit.service or "the whole trace"


def pair_name(pair: SpanPair, arrow: str = "→") -> str:
    """The name of a span; both, where they differ."""
    if pair.name is not None and pair.baseline_name is not None and pair.name != pair.baseline_name:
        return f"{pair.baseline_name} {arrow} {pair.name}"
    return pair.name if pair.name is not None else pair.baseline_name or ""


def edits_words(compared: Compared) -> str:
    """``3 edits in 2 causes, cost 8``."""
    diff = compared.diff
    if diff is None:
        return ""
    edits, causes = len(diff.counted), sum(cause.counted for cause in diff.causes)
    if not edits:
        return "no edits"
    head = number_text(edits, "edit")
    if causes != edits:
        head += f" in {number_text(causes, 'cause')}"
    return f"{head}, cost {diff.cost:,}"


def counts_text(compared: Compared) -> str:
    """``3 edits in 2 causes, cost 8; 1 changed, 2 added, 37 same``."""
    diff = compared.diff
    if diff is None:
        return ""
    spans = [f"{number_text(number)} {word}" for word, number in _differing_first(diff.totals) if number]
    quieted = [f"{number_text(number, 'edit')} quieted by {rule}" for rule, number in diff.quieted.items()]
    return "; ".join(part for part in (edits_words(compared), ", ".join(spans), ", ".join(quieted)) if part)


def causes_left(causes: Sequence[Cause]) -> str:
    """``and 12 more causes, 30 edits``: those that are not shown."""
    edits = sum(len(cause.edits) for cause in causes)
    more = f", {number_text(edits, 'edit')}" if edits != len(causes) else ""
    return f"and {number_text(len(causes), 'more cause')}{more}"


def _differing_first(totals: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(totals.items(), key=lambda item: item[0] == "same")


def edits_of(layout: DiffLayout, place: int) -> list[Edit]:
    """The edits that concern the span at a place, in the order of display."""
    wanted = set(layout.pairs[place].edits)
    return [edit for edit in layout.parts[layout.part[place]].edits if edit.edit_id in wanted]
