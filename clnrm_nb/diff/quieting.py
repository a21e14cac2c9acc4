"""What tolerance rules make of edits (``format.md`` 8.5): which do not count, and under which rule.

Of all rules that are about an edit and whose word can speak about it, the most specific one decides alone:
a rule that lists the allowed values of one key is not undone by a wider one that ignores many. Nothing here
takes an edit away or changes what it does; so no digest, no certificate and no inverse depends on a rule.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal

from clnrm_nb.diff.allowing import TEXT_WORDS, VALUE_WORDS, allows, blanked
from clnrm_nb.diff.drafts import Draft
from clnrm_nb.diff.items import Item, equal, is_rekeyed, items_of, leaves_of
from clnrm_nb.diff.rules import Rule
from clnrm_nb.diff.selecting import Labels, Selector, matcher
from clnrm_nb.diff.siblings import Siblings
from clnrm_nb.scenario.tolerance import KIND_KEY, RENAMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.diff.options import DiffOptions
    from clnrm_nb.diff.selecting import Spot
    from clnrm_nb.diff.side import Side

__all__ = ["Quieting", "settings_as_rules"]

CheckWord = Literal["order", "duration"]

CHECK_WORDS: Final[tuple[CheckWord, ...]] = ("order", "duration")
"""Words that quiet nothing and add a check."""

_SUBTREES: Final = frozenset({"insert", "delete", "count", "wrap", "unwrap"})
_RETOLD: Final = frozenset({"move", "rename"})
_ROOT_ONLY: Final = _SUBTREES | {"move"}
_RENAMED: Final = {"rename": "span", "scope": "scope", "service": "service"}


def settings_as_rules(options: DiffOptions) -> list[Rule]:
    """``[diff]`` settings that quiet attributes, as the least of all rules."""
    ignored = [
        Rule(
            "ignore_attributes",
            "its key is in diff.ignore_attributes",
            {"key": glob},
            "ignore",
            origin="settings",
        )
        for glob in options.ignore_attributes
    ]
    near = [
        Rule(
            "tolerance",
            "it is within diff.tolerance.attributes",
            {"key": glob},
            "tolerance",
            {"abs": absolute, "rel": relative},
            origin="settings",
        )
        for glob, (absolute, relative) in options.attributes.items()
    ]
    return [*ignored, *near]


class Quieting:
    """The rules of one comparison at work on its edits.

    Parameters
    ----------
    options : DiffOptions
    baseline, current : Side
    forth : sequence of int
        Partners of the baseline's spans, the top included.

    Attributes
    ----------
    matched : Counter of str
        How many edits each rule was about, whether it quieted them or not.
    """

    def __init__(self, options: DiffOptions, baseline: Side, current: Side, forth: Sequence[int]) -> None:
        sides = (Labels(baseline), Labels(current))
        rules = sorted(
            [*options.rules, *settings_as_rules(options)], key=lambda rule: rule.rank, reverse=True
        )
        self._selectors = [Selector(rule, sides) for rule in rules]
        self._values = self._of(VALUE_WORDS)
        self._texts = self._of(TEXT_WORDS)
        self._subtrees = self._of({"count", "optional"})
        self._moves = self._of({"any_parent"})
        self._aliases = self._of({"alias"})
        self._hiding = self._of({"redact"})
        self._checks = {word: self._of({word}) for word in CHECK_WORDS}
        self._by_names: dict[tuple[tuple[str, ...], str], list[Selector]] = {}
        self._baseline, self._current = baseline, current
        self._siblings = Siblings(baseline, current, forth, sides)
        self.matched: Counter[str] = Counter()

    def _of(self, words: Iterable[str]) -> list[Selector]:
        return [one for one in self._selectors if one.rule.word in words]

    def apply(self, drafts: Sequence[Draft]) -> None:
        """Mark the drafts that do not count."""
        if not self._selectors:
            return
        if self._aliases:
            self._rename_keys(drafts)
        for draft in drafts:
            if draft.counted:
                self._judge(draft)
            if self._hiding:
                self._hide(draft)
        if self._subtrees:
            self._retell(drafts)

    def asks(self, word: CheckWord) -> bool:
        """Whether a rule adds this check to some spans."""
        return bool(self._checks[word])

    def check(self, word: CheckWord, spot: Spot) -> Rule | None:
        """The rule that adds this check to a span, the most specific one."""
        rule = next((one.rule for one in self._checks[word] if one.has(spot)), None)
        if rule is not None:
            self.matched[rule.id] += 1
        return rule

    def _judge(self, draft: Draft) -> None:
        spots = spots_of(draft)
        if draft.op == "move":
            self._structural(draft, self._moves, spots)
        elif draft.op in _SUBTREES:
            self._structural(draft, self._subtrees, spots)
        elif not self._is_renamed(draft, spots):
            self._value(draft, spots)

    # --------------------------------------------------------------------------------------- structure

    def _structural(self, draft: Draft, selectors: Sequence[Selector], spots: Sequence[Spot]) -> None:
        rule = next((one.rule for one in selectors if one.has_all(spots)), None)
        if rule is None:
            return
        self.matched[rule.id] += 1
        if rule.word == "any_parent" or self._siblings.allowed(rule, draft):
            _quieted(draft, rule)

    def _retell(self, drafts: Sequence[Draft]) -> None:
        """What moved or got another name may as well be one span that went and one that came, if both may.

        Which of the two is told depends on what else the run did; what may come and go does not.
        """
        for draft in drafts:
            if not draft.counted or draft.op not in _RETOLD or draft.at is None or draft.at_b is None:
                continue
            ends = (
                (Draft("delete", draft.at, None, 0), (draft.at, None)),
                (Draft("insert", None, draft.at_b, 0), (None, draft.at_b)),
            )
            rules = [self._allowing(end, spot) for end, spot in ends]
            known = [rule for rule in rules if rule is not None]
            if len(known) == len(ends):
                self._quiet_all(drafts, draft.at, draft.at_b, known)

    def _allowing(self, draft: Draft, spot: Spot) -> Rule | None:
        rule = next((one.rule for one in self._subtrees if one.has(spot)), None)
        return rule if rule is not None and self._siblings.allowed(rule, draft) else None

    def _quiet_all(self, drafts: Sequence[Draft], at: int, at_b: int, rules: Sequence[Rule]) -> None:
        """Everything that is told of two subtrees and of nothing else."""
        old, new = self._baseline.subtree(at), self._current.subtree(at_b)
        for draft in drafts:
            is_inside = all(spot in old for spot in draft.spans) and all(
                spot in new for spot in draft.spans_b
            )
            if draft.counted and (draft.spans or draft.spans_b) and is_inside:
                self.matched.update({rule.id: 1 for rule in rules})
                _quieted(draft, *dict.fromkeys(rules))

    # ----------------------------------------------------------------------------------------- renames

    def _is_renamed(self, draft: Draft, spots: Sequence[Spot]) -> bool:
        """Whether an alias is about it; it quiets the edit if it is."""
        what = "key" if is_rekeyed(draft) else _RENAMED.get(draft.op)
        if what is None or not self._aliases:
            return False
        old, new = (draft.old["key"], draft.new["key"]) if what == "key" else (draft.old, draft.new)
        for one in self._aliases:
            if _is_alias(one.rule, what, old, new) and one.has_all(spots):
                self.matched[one.rule.id] += 1
                _quieted(draft, one.rule)
                return True
        return False

    def _rename_keys(self, drafts: Sequence[Draft]) -> None:
        """Keys renamed on some spans only: one that went and one that came on the same span, of one value."""
        aliases = [one for one in self._aliases if _renames(one.rule) == "key"]
        gone: dict[tuple[int | None, int | None], list[Draft]] = {}
        if aliases:
            for draft in drafts:
                if draft.op == "attr-" and draft.counted:
                    gone.setdefault((draft.at, draft.at_b), []).append(draft)
        for draft in drafts if gone else ():
            if draft.op != "attr+" or not draft.counted:
                continue
            for other in gone.get((draft.at, draft.at_b), ()):
                one = self._alias_of(aliases, other, draft)
                if one is not None:
                    self.matched[one.rule.id] += 2
                    _quieted(other, one.rule)
                    _quieted(draft, one.rule)
                    break

    @staticmethod
    def _alias_of(aliases: Sequence[Selector], gone: Draft, came: Draft) -> Selector | None:
        if not gone.counted or not equal(gone.old, came.new):
            return None
        spots = spots_of(came)
        return next(
            (
                one
                for one in aliases
                if _is_alias(one.rule, "key", gone.key or "", came.key or "") and one.has_all(spots)
            ),
            None,
        )

    # ------------------------------------------------------------------------------------------ values

    def _value(self, draft: Draft, spots: Sequence[Spot]) -> None:
        items = items_of(draft)
        deciding: dict[str, Rule] = {}
        is_quiet = bool(items)
        for item in items:
            found, fine = self._item(item, spots)
            deciding.update((rule.id, rule) for rule in found)
            is_quiet = is_quiet and fine
        self.matched.update(deciding.keys())
        if is_quiet:
            _quieted(draft, *deciding.values())

    def _item(self, item: Item, spots: Sequence[Spot]) -> tuple[list[Rule], bool]:
        """The rules that decide about one value, and whether they let it pass."""
        whole = self._rule_of(item, spots)
        if whole is not None and allows(whole, item):
            return [whole], True
        leaves = leaves_of(item)
        rules = [self._rule_of(leaf, spots) for leaf in leaves]
        known = [rule for rule in rules if rule is not None]
        fine = all(rule is not None and allows(rule, leaf) for rule, leaf in zip(rules, leaves, strict=True))
        return known, fine

    def _hide(self, draft: Draft) -> None:
        """Whatever decides about an edit: what a ``redact`` rule matches is not shown."""
        items = items_of(draft)
        for one in self._hiding:
            if any(_speaks_of(one, item) for item in items) and any(map(one.has, spots_of(draft))):
                self.matched[one.rule.id] += 1
                draft.old, draft.new = (_hidden(one.rule, value) for value in (draft.old, draft.new))

    def _rule_of(self, item: Item, spots: Sequence[Spot]) -> Rule | None:
        names = item.names, item.reach
        candidates = self._by_names.get(names)
        if candidates is None:
            if len(self._by_names) > _MOST_NAMES:
                self._by_names.clear()
            candidates = self._by_names[names] = [one for one in self._values if _speaks_of(one, item)]
        return next((one.rule for one in candidates if one.has_all(spots)), None)


_MOST_NAMES: Final = 10_000

_NO_TEXTS: Final = {("status.code",), (KIND_KEY,)}
"""Words of the format, which nobody writes into a span."""


def spots_of(draft: Draft) -> Sequence[Spot]:
    """The spans an edit is about: of subtrees their roots, of others all it touches, in pairs."""
    if draft.op in _ROOT_ONLY or len(draft.spans) != len(draft.spans_b) or len(draft.spans) <= 1:
        return [(draft.at, draft.at_b)]
    return list(zip(draft.spans, draft.spans_b, strict=True))


def _speaks_of(one: Selector, item: Item) -> bool:
    """Whether a rule's word and key can be about an item, whatever span it is on."""
    key = one.rule.select.get("key")
    if key is None:
        is_text = one.rule.word in TEXT_WORDS and item.names not in _NO_TEXTS
        return is_text or item.reach == "value"
    if item.reach == "spelt":
        return key in item.names
    return item.reach != "text" and one.has_key(item.names)


def _renames(rule: Rule) -> str | None:
    return next((name for name in RENAMED if name in rule.select), None)


def _is_alias(rule: Rule, what: str, old: str, new: str) -> bool:
    """Whether a rule says that two names are one, in whichever direction the change goes."""
    if _renames(rule) != what:
        return False
    matches = matcher(rule.select[what])
    return (new == rule.value and matches(old)) or (old == rule.value and matches(new))


def _quieted(draft: Draft, *rules: Rule) -> None:
    draft.counted = False
    draft.rule = ", ".join(rule.id for rule in rules)
    draft.reason = "; ".join(rule.reason for rule in rules)


def _hidden(rule: Rule, value: Any) -> Any:
    """A value as it may be shown."""
    if isinstance(value, str):
        return blanked(rule, value)
    if isinstance(value, dict):
        return {key: _hidden(rule, inner) for key, inner in value.items()}
    return [_hidden(rule, inner) for inner in value] if isinstance(value, list) else value
