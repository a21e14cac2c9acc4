"""Whether a rule of values allows one difference: each word of ``format.md`` 8.5 that quiets values, once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.diff.items import ABSENT, equal
from clnrm_nb.spans.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.diff.items import Item
    from clnrm_nb.diff.rules import Rule

__all__ = ["TEXT_WORDS", "VALUE_WORDS", "allows", "blanked"]

TEXT_WORDS: Final = frozenset({"template", "redact"})
"""Words about what texts hold: without a ``key`` they are about every text of a span."""

VALUE_WORDS: Final = TEXT_WORDS | {"ignore", "one_of", "range", "tolerance"}


def allows(rule: Rule, item: Item) -> bool:
    """Whether the difference is one the rule lets pass.

    Only ``ignore`` is about keys that are missing on one side; the others say which values are fine.
    """
    if rule.word == "ignore":
        return not (rule.present and item.new is ABSENT)
    if item.old is ABSENT or item.new is ABSENT:
        return False
    return _WORDS[rule.word](rule, item.old, item.new)


def blanked(rule: Rule, text: str) -> str:
    """A text without what the regex of a ``template`` or ``redact`` rule matches; done again, the same."""
    return Redaction(rule.id, rule.value, rule.select, rule.place).blanked(text)


def _is_alike(rule: Rule, old: Any, new: Any) -> bool:
    return isinstance(old, str) and isinstance(new, str) and blanked(rule, old) == blanked(rule, new)


def _is_listed(rule: Rule, _old: Any, new: Any) -> bool:
    return any(equal(new, value) for value in rule.value)


def _is_within(rule: Rule, _old: Any, new: Any) -> bool:
    low, high = rule.value
    return _is_number(new) and bool(low <= new <= high)


def _is_near(rule: Rule, old: Any, new: Any) -> bool:
    """By the larger of both bounds, the relative one of the accepted value; in decimal, as people count."""
    if not (_is_number(old) and _is_number(new)):
        return False
    before, after = Decimal(str(old)), Decimal(str(new))
    absolute, relative = (Decimal(str(rule.value.get(bound, 0))) for bound in ("abs", "rel"))
    return abs(after - before) <= max(absolute, relative * abs(before))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_WORDS: Final[dict[str, Callable[[Rule, Any, Any], bool]]] = {
    "template": _is_alike,
    "redact": _is_alike,
    "one_of": _is_listed,
    "range": _is_within,
    "tolerance": _is_near,
}
