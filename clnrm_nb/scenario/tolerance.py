"""The shape of ``[[tolerance]]`` rules (``format.md`` 8.5); what they mean is the diff's business."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from clnrm_nb.scenario.findings import Findings, type_name
from clnrm_nb.scenario.kinds import REGEX, Flag, Free, Num, Text
from clnrm_nb.scenario.model import Kind
from clnrm_nb.scenario.records import Key, Table, TableOf
from clnrm_nb.scenario.spelling import MisspelledError, check_glob

if TYPE_CHECKING:
    from clnrm_nb.scenario.model import KeyPath

__all__ = ["KIND_KEY", "RENAMED", "RULE", "RULE_WORDS", "SELECTORS", "build_tolerance"]

SELECTORS: Final = ("scenario", "service", "scope", "kind", "span", "path", "key")
"""What a rule may select by, in the order of ``format.md``."""

RENAMED: Final = ("key", "span", "scope", "service")
"""What an ``alias`` renames: the first of these that it selects by."""

KIND_KEY: Final = "span.kind"
"""What a ``key`` calls the kind of a span; as with ``status.code``, a rule has to spell it out."""

RULE_WORDS: Final = (
    "ignore", "template", "redact", "one_of", "range", "tolerance", "count", "optional", "alias",
    "any_parent", "order", "duration",
)  # fmt: skip

_SELECT: Final = Table(
    "tolerance.select",
    tuple(Key(name, Text(blank=False)) for name in SELECTORS),
)
RULE: Final = Table(
    "tolerance",
    (
        Key("id", Text(blank=False)),
        Key("reason", Text(blank=False)),
        Key("select", TableOf(_SELECT)),
        Key("present", Flag()),
        *(Key(name, Free()) for name in ("by", "at", "expires", "one_of", "range", "count")),
        *(Key(name, Flag()) for name in ("ignore", "optional", "any_parent", "order")),
        *(Key(name, REGEX) for name in ("template", "redact")),
        Key("tolerance", TableOf(Table("tolerance.tolerance", (Key("abs", Num(0)), Key("rel", Num(0)))))),
        Key("alias", Text(blank=False)),
        Key(
            "duration", TableOf(Table("tolerance.duration", (Key("ratio", Num(0)), Key("floor_ms", Num(0)))))
        ),
    ),
)
_KINDS: Final[tuple[str, ...]] = get_args(Kind)
_SIBLINGS: Final = re.compile(r"([0-9]+)(?:\.\.([0-9]+)?)?|\.\.[0-9]+")


def build_tolerance(rules: list[Any], path: KeyPath, findings: Findings) -> tuple[dict[str, Any], ...]:
    """The rules that have the shape of one, as written; CLN325 for the others."""
    kept: list[dict[str, Any]] = []
    ids: dict[str, KeyPath] = {}
    for index, rule in enumerate(rules):
        where = (*path, index)
        if not isinstance(rule, dict):
            findings.add("CLN325", where, f"a tolerance rule is a table, got {type_name(rule)}")
            continue
        before = len(findings.items)
        RULE.read(rule, where, findings)
        for problem in _problems(rule, ids, where):
            findings.add("CLN325", where, problem, part="header")
        if len(findings.items) == before:
            kept.append(rule)
    return tuple(kept)


def _problems(rule: dict[str, Any], ids: dict[str, KeyPath], where: KeyPath) -> list[str]:
    name = rule.get("id")
    called = f"rule `{name}`" if isinstance(name, str) else "the rule"
    problems = [f"{called} needs `{key}`" for key in ("id", "reason") if key not in rule]
    if isinstance(name, str) and ids.setdefault(name, where) != where:
        problems.append(f"{called} is defined twice")
    words = [word for word in RULE_WORDS if word in rule]
    if len(words) != 1:
        problems.append(f"{called} needs exactly one rule word, got {', '.join(words) or 'none'}")
    if "present" in rule and "ignore" not in rule:
        problems.append(f"{called}: `present` goes with `ignore`")
    return [*problems, *_bad_values(called, rule), *_bad_selectors(called, rule)]


def _bad_values(called: str, rule: dict[str, Any]) -> list[str]:
    problems = []
    if "one_of" in rule and not (isinstance(rule["one_of"], list) and rule["one_of"]):
        problems.append(f"{called}: `one_of` is a non-empty array")
    if "range" in rule and not _is_range(rule["range"]):
        problems.append(f"{called}: `range` is two numbers, the lower one first")
    if "count" in rule and not _is_count(rule["count"]):
        problems.append(f'{called}: `count` is a number of siblings such as "1..3"')
    if "expires" in rule and not _is_instant(rule["expires"]):
        problems.append(f'{called}: `expires` is a date or a date-time such as "2030-01-31"')
    problems += [
        f"{called}: `{word}` is true or left out"
        for word in ("ignore", "optional", "any_parent", "order")
        if rule.get(word) is False
    ]
    problems += [
        f"{called}: `{word}` needs {bounds}"
        for word, bounds in (("tolerance", "`abs` or `rel`"), ("duration", "`ratio` or `floor_ms`"))
        if rule.get(word) == {}
    ]
    return problems


def _bad_selectors(called: str, rule: dict[str, Any]) -> list[str]:
    """What is no selector: one key that nobody reads makes a rule say more than it was meant to."""
    select = rule.get("select", {})
    if not isinstance(select, dict):
        return []
    problems = [f"{called}: `{name}` is no selector" for name in select if name not in SELECTORS]
    for name, glob in select.items():
        try:
            check_glob(glob if isinstance(glob, str) else "")
        except MisspelledError as error:
            problems.append(f"{called}: `{name}`: {error}")
    if select.get("key") == KIND_KEY and isinstance(rule.get("one_of"), list):
        unknown = [value for value in rule["one_of"] if value not in _KINDS]
        problems += [f"{called}: {value!r} is no span kind ({', '.join(_KINDS)})" for value in unknown]
    if "alias" in rule and not any(name in select for name in RENAMED):
        problems.append(f"{called}: `alias` selects the old name by `key`, `span`, `scope` or `service`")
    return problems


def _is_instant(value: Any) -> bool:
    if isinstance(value, date):
        return True
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004  # Its two ends.
        and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
        and value[0] <= value[1]
    )


def _is_count(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return value >= 0
    match = _SIBLINGS.fullmatch(value) if isinstance(value, str) else None
    return match is not None and (not match[2] or int(match[1]) <= int(match[2]))
