"""Tolerance rules from several runs of one scenario: what varied with nothing changed.

Everything that differs between the runs is pooled by where it was seen (a key of spans of one label, the number
of spans of one label below a parent). Of the words that would allow it the narrowest is taken that would have
been right each time, had it been made from all runs but one: a value seen once is no enumeration, and the
smallest and largest of five numbers are no bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.patterns import ABSENT
from clnrm_nb.baseline.proposals import Proposal, Site, sites_of, told, words_of
from clnrm_nb.diff import compare, prepare
from clnrm_nb.diff.allowing import allows
from clnrm_nb.diff.items import ABSENT as NO_VALUE
from clnrm_nb.diff.items import Item
from clnrm_nb.diff.rules import Rule
from clnrm_nb.diff.siblings import bounds_of
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.baseline.patterns import Words
    from clnrm_nb.diff import DiffOptions
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LEAST_RUNS", "Learnt", "Lesson", "learn"]

LEAST_RUNS: Final = 2
_MANY_LABELS: Final = 3
"""A rule that is the same for so many kinds of span is one about the key."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """One rule that would allow something that varied.

    Parameters
    ----------
    proposal : Proposal
    runs : int
        Runs in which it differed from the reference.
    seen : tuple of str
        A few of the values, as canonical JSON.
    """

    proposal: Proposal
    runs: int
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What several runs teach.

    Parameters
    ----------
    runs : int
        Runs that were held against the reference.
    differing : int
        Of them, those that differed by something that counts.
    learnt : tuple of Learnt
        What varied most often first.
    left : tuple of str
        What no rule can allow, in words.
    """

    runs: int
    differing: int
    learnt: tuple[Learnt, ...]
    left: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pool:
    """Everything that was seen at places of one kind."""

    site: Site
    old: list[Any] = field(default_factory=list)
    new: dict[int, list[Any]] = field(default_factory=dict)
    """By run; of runs in which nothing differed there, nothing."""


def learn(
    runs: Sequence[SpanTable],
    reference: SpanTable | None = None,
    *,
    options: DiffOptions,
    scenario: str | None = None,
) -> Lesson:
    """Rules that would let runs pass that differ with nothing changed.

    Parameters
    ----------
    runs : sequence of SpanTable
        Trusted ones, of one scenario.
    reference : SpanTable, optional
        The accepted trace; without one, the first run.
    options : DiffOptions
        What counts, and the rules that hold already.
    scenario : str, optional
        The rules are for this scenario alone.
    """
    if reference is None:
        reference, runs = runs[0], runs[1:]
    side = prepare(reference)
    diffs = [compare(side, run, options=options) for run in runs]
    pools: dict[tuple[str, str], _Pool] = {}
    left: dict[str, None] = {}
    for number, diff in enumerate(diffs):
        for edit in diff.counted:
            sites = sites_of([edit], diff, scenario=scenario)
            if not sites:
                left[next(cause.message for cause in diff.causes if edit.edit_id in cause.edits)] = None
            for site in sites:
                _pool(pools, site, number)
    made = [_learnt(pool, len(runs)) for pool in pools.values()]
    ordered = sorted(_merged(made), key=lambda one: (-one.runs, one.proposal.rule.id))
    return Lesson(len(runs), sum(map(bool, diffs)), tuple(ordered), tuple(left))


def _pool(pools: dict[tuple[str, str], _Pool], site: Site, number: int) -> None:
    select = {name: text for name, text in site.select.items() if name != "path"}
    about = "name" if site.about == "alias" and "key" not in site.select else site.about
    pool = pools.setdefault((about, canonical_json(select)), _Pool(replace(site, select=select)))
    if site.seen:
        pool.old.append(site.seen[0])
        pool.new.setdefault(number, []).extend(site.seen[1:])


# ------------------------------------------------------------------------------------------------ words


def _learnt(pool: _Pool, n_runs: int) -> Learnt:
    seen = _distinct([*pool.old, *(value for run in pool.new.values() for value in run)])
    site = replace(pool.site, seen=tuple(seen) or pool.site.seen)
    words = _steady(site, pool, n_runs)
    shown = tuple(_text(value) for value in seen[:5])
    reason = f"it varied in {len(pool.new)} of {n_runs} runs with nothing changed"
    return Learnt(told(replace(site, reason=reason), words), len(pool.new), shown)


def _steady(site: Site, pool: _Pool, n_runs: int) -> Words:
    """The narrowest words that would have been right each time, made from all runs but one."""
    known = words_of(site)
    for words in known[:-1]:
        if all(_foreseen(site, pool, words.way, number) for number in range(n_runs)):
            return words
    return known[-1]


def _foreseen(site: Site, pool: _Pool, way: str, left_out: int) -> bool:
    """Whether words found in some way without one run allow what that run brought."""
    brought = pool.new.get(left_out)
    if not brought:
        return True
    others = [value for number, values in pool.new.items() if number != left_out for value in values]
    rest = replace(site, seen=tuple(_distinct([*pool.old, *others])))
    words = next((words for words in words_of(rest) if words.way == way), None)
    return words is not None and all(_allows(words, old, new) for old in pool.old[:1] for new in brought)


def _allows(words: Words, old: Any, new: Any) -> bool:
    if words.word == "count":
        low, high = bounds_of(words.value)
        return bool(low <= new and (high is None or new <= high))
    rule = Rule("", "", {}, words.word, words.value, words.present)
    return allows(rule, Item((), _or_none(old), _or_none(new)))


def _or_none(value: Any) -> Any:
    return NO_VALUE if value is ABSENT else value


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({_text(value): value for value in values}.values())


def _text(value: Any) -> str:
    return "absent" if value is ABSENT else canonical_json(value)


# ------------------------------------------------------------------------------------------------ rules


def _merged(learnt: Sequence[Learnt]) -> list[Learnt]:
    """One rule for a key where it would be the same one for many kinds of span."""
    alike: dict[str, list[Learnt]] = {}
    for one in learnt:
        rule = one.proposal.rule
        mark = [rule.select.get("key"), rule.word, rule.value, rule.present]
        alike.setdefault(canonical_json(mark) if "key" in rule.select else rule.id, []).append(one)
    made: list[Learnt] = []
    for group in alike.values():
        made += [_together(group)] if len(group) >= _MANY_LABELS else group
    return made


def _together(group: Sequence[Learnt]) -> Learnt:
    first = group[0].proposal
    select = {
        name: text
        for name, text in first.rule.select.items()
        if all(one.proposal.rule.select.get(name) == text for one in group)
    }
    digest = first.rule.id.rpartition("-")[2]
    rule = replace(first.rule, id=f"{first.rule.id.removesuffix(digest)}all-{digest}", select=select)
    says = first.sentence.partition(" (")[0]
    proposal = Proposal(rule, f"{says} (on {len(group)} kinds of span)")
    return Learnt(proposal, max(one.runs for one in group), group[0].seen)
