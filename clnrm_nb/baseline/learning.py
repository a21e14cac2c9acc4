"""Tolerance rules from several runs of one scenario: what varied with nothing changed.

Everything that differs between the runs is pooled by where it was seen (a key of spans of one label, the
number of spans of one label below a parent). Of the words that would allow it the narrowest is taken that
would have been right each time, had it been made from all runs but one: a value seen once is no enumeration,
and the smallest and largest of five numbers are no bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.patterns import ABSENT
from clnrm_nb.baseline.proposals import Proposal, Site, exactly, sites_of, told, words_of
from clnrm_nb.diff import compare, prepare
from clnrm_nb.diff.allowing import allows
from clnrm_nb.diff.interner import Interner
from clnrm_nb.diff.items import ABSENT as NO_VALUE
from clnrm_nb.diff.items import Item
from clnrm_nb.diff.reading import from_table
from clnrm_nb.diff.rules import Rule
from clnrm_nb.diff.siblings import bounds_of
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.baseline.patterns import Words
    from clnrm_nb.diff import Diff, DiffOptions, Edit
    from clnrm_nb.spans.table import SpanTable

__all__ = ["LEAST_RUNS", "Learnt", "Lesson", "learn"]

LEAST_RUNS: Final = 2
_ENOUGH: Final = 20
"""Values from which on those seen are taken for all there are: of fewer, one in twenty may be missing."""
_HARDLY_MORE: Final = 2
"""Times that the range of one key on several kinds of span may be the widest of them."""
_SHOWN: Final = 5


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

    def seen(self, *, without: int | None = None) -> list[Any]:
        """What was seen, each once, the reference's first."""
        new = [value for number, values in self.new.items() if number != without for value in values]
        return list({_text(value): value for value in [*self.old, *new]}.values())


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
    varied: dict[_Label, set[int]] = {}
    for number, diff in enumerate(diffs):
        for edit in diff.counted:
            labels = _coming_and_going(edit, diff)
            for label in labels:
                varied.setdefault(label, set()).add(number)
            sites = () if labels else sites_of([edit], diff, scenario=scenario)
            if not labels and not sites:
                left[next(cause.message for cause in diff.causes if edit.edit_id in cause.edits)] = None
            for site in sites:
                _pool(pools, site, number)
    places = _Places([reference, *runs], own_spans=options.own_spans)
    counted = [places.pool(label, numbers, scenario) for label, numbers in varied.items()]
    pooled = [*_by_key(pools.values(), len(runs)), *counted]
    made = [_learnt(pool, len(runs)) for pool in pooled]
    ordered = sorted(made, key=lambda one: (-one.runs, one.proposal.rule.id))
    return Lesson(len(runs), sum(map(bool, diffs)), tuple(ordered), tuple(left))


_SUBTREES: Final = frozenset({"insert", "delete", "wrap", "unwrap", "count", "move"})


def _coming_and_going(edit: Edit, diff: Diff) -> set[_Label]:
    """Labels of spans that one run has and another has not; of anything else none.

    A move is one less here and one more there. With nothing changed a span has one name: another one that is
    not built alike is another span, whatever the shortest script makes of the two.
    """
    if edit.op == "rename":
        words = words_of(Site("alias", {}, (edit.baseline, edit.current), "", ""))
        if any(one.word == "template" for one in words):
            return set()
    elif edit.op not in _SUBTREES:
        return set()
    old, new = set(edit.baseline_spans[:1]), set(edit.current_spans[:1])
    found: set[_Label] = set()
    for pair in diff.spans:
        if pair.baseline in old and pair.baseline_name is not None:
            found.add((pair.service, pair.baseline_name))
        if pair.current in new and pair.name is not None:
            found.add((pair.service, pair.name))
    return found


def _pool(pools: dict[tuple[str, str], _Pool], site: Site, number: int) -> None:
    select = {name: text for name, text in site.select.items() if name != "path"}
    about = "name" if site.about == "alias" and "key" not in site.select else site.about
    pool = pools.setdefault((about, canonical_json(select)), _Pool(replace(site, select=select)))
    pool.old.extend(site.seen[:1])
    pool.new.setdefault(number, []).extend(site.seen[1:])


_Label = tuple[str, str]
"""Service and name."""


class _Places:
    """Where spans stand in the reference and in the runs, and how many of one label below one parent."""

    def __init__(self, tables: Iterable[SpanTable], *, own_spans: bool) -> None:
        self._sides = [from_table(table, Interner(), own_spans=own_spans) for table in tables]
        self._paths: list[list[str]] = []
        for side in self._sides:
            paths: list[str] = []
            for number, name in enumerate(side.names):
                above = side.parent[number]
                paths.append(name if above == side.n else f"{paths[above]}/{name}")
            self._paths.append(paths)

    def pool(self, label: _Label, runs: Iterable[int], scenario: str | None) -> _Pool:
        """How many spans of a label stood below each parent of a kind that ever has some."""
        service, name = label
        paths, parents = self._where(label)
        numbers = [self._numbers(turn, label, parents) for turn in range(len(self._sides))]
        select = {} if scenario is None else {"scenario": exactly(scenario)}
        select |= {"service": exactly(service), "span": exactly(name), "path": _glob_of(paths)}
        site = Site("count", select, (), name, "", is_glob=True)
        return _Pool(site, numbers[0], {number: numbers[number + 1] for number in runs})

    def _where(self, label: _Label) -> tuple[set[str], set[str]]:
        """The paths of a label, and those of its parents."""
        paths: set[str] = set()
        parents: set[str] = set()
        for side, known in zip(self._sides, self._paths, strict=True):
            for number, found in enumerate(zip(side.services, side.names, strict=True)):
                if found == label:
                    above = side.parent[number]
                    paths.add(known[number])
                    parents.add("" if above == side.n else known[above])
        return paths, parents

    def _numbers(self, turn: int, label: _Label, parents: set[str]) -> list[int]:
        side, paths = self._sides[turn], self._paths[turn]
        labels = list(zip(side.services, side.names, strict=True))
        return [
            sum(labels[child] == label for child in side.children[number])
            for number in range(side.n + 1)
            if ("" if number == side.n else paths[number]) in parents
        ]


def _glob_of(texts: Iterable[str]) -> str:
    """The texts' common beginning and end, and anything between."""
    ordered = sorted(texts)
    first, last = ordered[0], ordered[-1]
    if first == last:
        return exactly(first)
    head = _common(first, last)
    ends = sorted(text[len(head) :][::-1] for text in ordered)
    return f"{exactly(head)}*{exactly(_common(ends[0], ends[-1])[::-1])}"


def _common(one: str, other: str) -> str:
    """The beginning that both have."""
    pairs = enumerate(zip(one, other, strict=False))
    end = next((place for place, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))
    return one[:end]


def _by_key(pools: Iterable[_Pool], n_runs: int) -> list[_Pool]:
    """One pool for a key on several kinds of span, where the same can be said of all of them."""
    groups: dict[tuple[str, str], list[_Pool]] = {}
    for pool in pools:
        key = pool.site.select.get("key")
        mark = ("key", key) if pool.site.about == "value" and key is not None else ("", str(len(groups)))
        groups.setdefault(mark, []).append(pool)
    made: list[_Pool] = []
    for group in groups.values():
        together = _together(group)
        made += [together] if _is_alike(together, group, n_runs) else group
    return made


def _together(group: Sequence[_Pool]) -> _Pool:
    first = group[0].site
    select = {
        name: text
        for name, text in first.select.items()
        if all(pool.site.select.get(name) == text for pool in group)
    }
    pooled = _Pool(replace(first, select=select))
    for pool in group:
        pooled.old += pool.old
        for number, values in pool.new.items():
            pooled.new.setdefault(number, []).extend(values)
    return pooled


def _is_alike(together: _Pool, group: Sequence[_Pool], n_runs: int) -> bool:
    """Whether what is said of all is what is said of each, or of numbers hardly more."""
    if len(group) == 1:
        return True
    words, *each = (_steady(pool, n_runs) for pool in (together, *group))
    if words.word != "ignore" and all(one.word == "ignore" for one in each):
        # Together there is enough to say more.
        return True
    if any(one.way != words.way for one in each):
        return False
    if words.word != "range":
        return words.word == "ignore" or all(one.value == words.value for one in each)
    low, high = words.value
    widest = max(one.value[1] - one.value[0] for one in each)
    return bool(high - low <= _HARDLY_MORE * widest)


# ------------------------------------------------------------------------------------------------ words


def _learnt(pool: _Pool, n_runs: int) -> Learnt:
    shown = tuple(map(_text, pool.seen()[:_SHOWN]))
    reason = f"it varied in {len(pool.new)} of {n_runs} runs with nothing changed"
    site = replace(pool.site, seen=tuple(pool.seen()), reason=reason)
    return Learnt(told(site, _steady(pool, n_runs)), len(pool.new), shown)


def _steady(pool: _Pool, n_runs: int) -> Words:
    """The narrowest words that would have been right each time, made from all runs but one."""
    known = words_of(replace(pool.site, seen=tuple(pool.seen())))
    n_values = len(pool.old) + sum(map(len, pool.new.values()))
    for words in known[:-1]:
        if _is_closed(words):
            return words
        if words.way in _AS_SEEN and n_values < _ENOUGH:
            continue
        if all(_foreseen(pool, words.way, number) for number in range(n_runs)):
            return words
    return known[-1]


_AS_SEEN: Final = frozenset({"seen", "near", "one_of"})


def _is_closed(words: Words) -> bool:
    """Whether there is nothing else it could be."""
    return words.word == "one_of" and all(isinstance(value, bool) for value in words.value)


def _foreseen(pool: _Pool, way: str, left_out: int) -> bool:
    """Whether words found in some way without one run allow what that run brought."""
    brought = pool.new.get(left_out)
    if not brought:
        return True
    rest = replace(pool.site, seen=tuple(pool.seen(without=left_out)))
    words = next((words for words in words_of(rest) if words.way == way), None)
    return words is not None and all(_allows(words, old, new) for old in pool.old[:1] for new in brought)


def _allows(words: Words, old: Any, new: Any) -> bool:
    if words.word == "count":
        low, high = bounds_of(words.value)
        return bool(low <= new) and (high is None or bool(new <= high))
    rule = Rule("", "", {}, words.word, words.value, words.present)
    return allows(rule, Item((), _or_none(old), _or_none(new)))


def _or_none(value: Any) -> Any:
    return NO_VALUE if value is ABSENT else value


def _text(value: Any) -> str:
    return "absent" if value is ABSENT else canonical_json(value)
