"""Tolerance rules that would allow what somebody is looking at: at most three for an edit or a cause.

Narrowest first: the words come from what the values look like (:mod:`clnrm_nb.baseline.patterns`), the
selector is as narrow as the edits. Whether a rule is wise is for its back-test and a person to say.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.patterns import ABSENT, Words, counts, values
from clnrm_nb.diff.rules import SELECTORS, Rule
from clnrm_nb.diff.sentences import sentence
from clnrm_nb.scenario.tolerance import KIND_KEY
from clnrm_nb.spans.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clnrm_nb.diff.model import Diff, Edit, SpanPair

__all__ = ["Proposal", "Site", "exactly", "propose", "sites_of", "told", "words_of"]

MOST: Final = 3
_MOST_SLUG: Final = 32

_VALUES: Final = frozenset({"attr~", "attr+", "attr-", "resource~", "resource+", "resource-"})
_WHOLES: Final = frozenset({"event+", "event-", "link+", "link-"})
_SUBTREES: Final = frozenset({"insert", "delete", "wrap", "unwrap"})
_SHARED: Final = frozenset({"resource~", "resource+", "resource-", "service", "scope"})
"""Edits of everything a service or a trace says: no one span is what they are about."""

_NO_DIGITS: Final = re.compile(r"[^0-9a-z]+")
_SPECIAL: Final = re.compile(r"([*?\[])")


@dataclass(frozen=True, slots=True)
class Site:
    """One thing that differs, in one place or several of the same kind.

    Parameters
    ----------
    about : {"value", "count", "alias", "any_parent"}
        What kind of rule can speak of it.
    select : mapping of str to str
        Selectors by :data:`~clnrm_nb.diff.rules.SELECTORS`: whole texts, or globs if `is_glob`.
    seen : tuple
        Values, the baseline's first; of ``count`` numbers of such siblings; of an alias the names.
    name : str
        What to call it: the key or the span's name.
    reason : str
        The difference in words.
    """

    about: str
    select: Mapping[str, str]
    seen: tuple[Any, ...]
    name: str
    reason: str
    is_glob: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule that nobody has agreed to yet.

    Parameters
    ----------
    rule : Rule
    sentence : str
        What it allows, for people.
    """

    rule: Rule
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Its rule as it would be written, and what it says."""
        return {"rule": self.rule.to_toml(), "sentence": self.sentence}


def exactly(text: str) -> str:
    """The glob that matches a text and nothing else."""
    return _SPECIAL.sub(r"[\1]", text)


def propose(edits: Sequence[Edit], diff: Diff, *, scenario: str | None = None) -> list[Proposal]:
    """Rules that would allow all of these edits.

    Parameters
    ----------
    edits : sequence of Edit
        One, or those of a cause.
    diff : Diff
        Theirs.
    scenario : str, optional
        The rule is for this scenario alone.

    Returns
    -------
    list of Proposal
        At most three, narrowest first; none where no rule can say that, as for another ``order``.
    """
    sites = sites_of(edits, diff, scenario=scenario)
    site = _joined(sites) if sites else None
    if site is None:
        return []
    found = words_of(site)
    if len(found) > MOST:
        # A tolerance says better than a wide range what a person means by two numbers.
        found = [words for words in found if words.way != "wider"]
    return [told(site, words) for words in found[:MOST]]


def told(site: Site, words: Words) -> Proposal:
    """What is said of a site, as a rule."""
    select = {name: site.select[name] for name in SELECTORS if name in site.select}
    if not site.is_glob:
        select = {name: exactly(text) for name, text in select.items()}
    digest = hashlib.sha256(canonical_json([select, words.word, words.value, words.present]).encode())
    slug = _NO_DIGITS.sub("-", site.name.lower()).strip("-")[:_MOST_SLUG].strip("-") or site.about
    rule = Rule(
        id=f"{slug}-{words.word.replace('_', '-')}-{digest.hexdigest()[:6]}",
        reason=site.reason,
        select=select,
        word=words.word,
        value=words.value,
        present=words.present,
    )
    return Proposal(rule, f"{site.name} {words.says}{_where(site.select)}")


def _where(select: Mapping[str, str]) -> str:
    """Where a rule holds, for people: a path says its span."""
    place = "path" if "path" in select else "span"
    told = [f"{name} {select[name]}" for name in (place, "service") if name in select]
    return f" ({', '.join(told)})" if told else ""


_MAYBE: Final = Words("optional", "optional", True, "and all below it may be there or not")


def words_of(site: Site) -> list[Words]:
    """What could be said of a site, narrowest first."""
    if site.about == "value":
        return values(site.seen)
    if site.about == "count":
        return counts(site.seen) if max(site.seen) > 1 else [_MAYBE]
    if site.about == "alias":
        texts = values(site.seen) if "key" not in site.select else []
        patterns = [words for words in texts if words.word == "template"]
        return [*patterns, Words("alias", "alias", site.seen[-1], f"may be called {site.seen[-1]}")]
    return [Words("any_parent", "any_parent", True, "may stand below any parent")]


# ------------------------------------------------------------------------------------------------ sites


def sites_of(edits: Iterable[Edit], diff: Diff, *, scenario: str | None = None) -> list[Site]:
    """What these edits are about, one site a key and place; edits that no rule can speak of have none."""
    names = _Names(diff)
    return [site for edit in edits for site in _sites(edit, names, scenario)]


class _Names:
    """Names and services of spans by their numbers."""

    def __init__(self, diff: Diff) -> None:
        self._old = {pair.baseline: pair for pair in diff.spans if pair.baseline is not None}
        self._new = {pair.current: pair for pair in diff.spans if pair.current is not None}
        self._below: dict[int | None, list[SpanPair]] = {}
        for pair in diff.spans:
            self._below.setdefault(pair.parent, []).append(pair)

    def of(self, edit: Edit) -> str | None:
        """The accepted name of the span an edit is about; a new one has only its own."""
        pair: SpanPair | None = None
        if edit.baseline_spans:
            pair = self._old.get(edit.baseline_spans[0])
        elif edit.current_spans:
            pair = self._new.get(edit.current_spans[0])
        return None if pair is None else pair.baseline_name or pair.name

    def siblings(self, edit: Edit) -> tuple[int, int]:
        """How many children of one parent are called like the root of a subtree, before and now."""
        spans = edit.current_spans or edit.baseline_spans
        root = (self._new if edit.current_spans else self._old)[spans[0]]
        called = _called(root)
        alike = [pair for pair in self._below.get(root.parent, ()) if _called(pair) == called]
        before = sum(pair.baseline is not None for pair in alike)
        return before, sum(pair.current is not None for pair in alike)


def _called(pair: SpanPair) -> tuple[str | None, str]:
    return pair.name or pair.baseline_name, pair.service


def _sites(edit: Edit, names: _Names, scenario: str | None) -> list[Site]:
    place = _place(edit, names, scenario)
    reason = sentence(edit)
    if edit.op == "attr~" and isinstance(edit.baseline, dict) and " → " in (edit.key or ""):
        old, _, new = (edit.key or "").partition(" → ")
        return [Site("alias", {**_without(place, "span", "path"), "key": old}, (new,), old, reason)]
    if edit.op in _VALUES:
        seen: tuple[Any, ...] = (edit.baseline, edit.current)
        if edit.op.endswith("+"):
            seen = (ABSENT, edit.current)
        elif edit.op.endswith("-"):
            seen = (edit.baseline, ABSENT)
        key = edit.key or ""
        return [Site("value", {**place, "key": key}, seen, key, reason)]
    if edit.op == "event~":
        return _event_sites(edit, place, reason)
    if edit.op in _WHOLES:
        key = edit.key or ""
        return [Site("value", {**place, "key": key}, (ABSENT, ABSENT), f"{edit.op[:-1]} {key}", reason)]
    if edit.op in ("status", "kind"):
        return _spelt_sites(edit, place, reason)
    return _structural_sites(edit, place, names, reason)


def _spelt_sites(edit: Edit, place: Mapping[str, str], reason: str) -> list[Site]:
    """What only a rule that spells its key out is about."""
    old, new = edit.baseline, edit.current
    changes = {KIND_KEY: (old, new)}
    if edit.op == "status":
        changes = {f"status.{part}": (old[part], new[part]) for part in ("code", "message")}
    return [
        Site("value", {**place, "key": key}, seen, key, reason)
        for key, seen in changes.items()
        if seen[0] != seen[1]
    ]


def _event_sites(edit: Edit, place: Mapping[str, str], reason: str) -> list[Site]:
    old, new = edit.baseline, edit.current
    keys = sorted(
        key
        for key in old.keys() | new.keys()
        if key not in old or key not in new or canonical_json(old[key]) != canonical_json(new[key])
    )
    return [
        Site(
            "value",
            {**place, "key": f"{edit.key}.{key}"},
            (old.get(key, ABSENT), new.get(key, ABSENT)),
            f"{edit.key}.{key}",
            reason,
        )
        for key in keys
    ]


def _structural_sites(edit: Edit, place: Mapping[str, str], names: _Names, reason: str) -> list[Site]:
    if edit.op == "count":
        name = names.of(edit) or ""
        return [Site("count", place, (edit.baseline, edit.current), name, reason)]
    if edit.op in _SUBTREES:
        subtree = edit.current if edit.op in ("insert", "wrap") else edit.baseline
        name = str(subtree["name"])
        select = {**place, "span": name, "service": str(subtree["service"])}
        return [Site("count", select, names.siblings(edit), name, reason)]
    if edit.op == "move":
        # The place it came from and the one it goes to differ: that is what is allowed.
        return [Site("any_parent", _without(place, "path"), (), names.of(edit) or "", reason)]
    if edit.op in ("rename", "service", "scope"):
        old, new = str(edit.baseline), str(edit.current)
        word = "span" if edit.op == "rename" else edit.op
        return [Site("alias", {**_without(place, "path"), word: old}, (old, new), old, reason)]
    return []


def _place(edit: Edit, names: _Names, scenario: str | None) -> dict[str, str]:
    """Selectors as narrow as the edit."""
    place = {} if scenario is None else {"scenario": scenario}
    if edit.service:
        place["service"] = edit.service
    is_wide = len(edit.baseline_spans) > 1 and len(edit.current_spans) > 1 and edit.op != "count"
    if edit.op in _SHARED or is_wide:
        return place
    name, path = names.of(edit), edit.baseline_path or edit.path
    if name is not None:
        place["span"] = name
    if path:
        place["path"] = path
    return place


def _without(place: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in place.items() if name not in names}


def _joined(sites: Sequence[Site]) -> Site | None:
    """One site for all of them: what they have in common, and all that was seen; ``None``: too unlike."""
    first = sites[0]
    if any(site.about != first.about or site.name != first.name for site in sites):
        return None
    select = {
        name: text
        for name, text in first.select.items()
        if all(site.select.get(name) == text for site in sites)
    }
    seen: dict[str, Any] = {}
    for site in sites:
        for value in site.seen:
            seen.setdefault("" if value is ABSENT else canonical_json(value), value)
    distinct = tuple(seen.values()) if first.about in ("value", "count") else first.seen
    return Site(first.about, select, distinct or first.seen, first.name, first.reason)
