"""The project's tolerance rules: ``.clnrm/baselines/rules.toml`` (``format.md`` 8.5), a file people edit too.

Writing adds or takes out one block; every other byte of the file stays. A file with anything wrong in it is
told about, with line and column, and neither used in part nor touched.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.store import BaselineStore
from clnrm_nb.diff.rules import Rule
from clnrm_nb.errors import ClnrmError, Diagnostic, Location
from clnrm_nb.scenario.findings import Findings, locate_all
from clnrm_nb.scenario.parse import Parsed, parse
from clnrm_nb.scenario.tolerance import build_tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clnrm_nb.config.project import Project

__all__ = ["add", "appended", "block_of", "read", "remove", "rules_of", "without"]

_TABLE: Final = "tolerance"
_HINT: Final = "put it right there; the file was not touched and no rule of it was used"


def read(project: Project) -> tuple[Rule, ...]:
    """The rules of a project, in the order of the file; none where there is no file.

    Raises
    ------
    ClnrmError
        CLN325: the file is not what it must be; `diagnostics` has all findings. CLN001: it cannot be read.
    """
    store = BaselineStore(project)
    content = store.read(store.rules_path)
    return () if content is None else rules_of(content, store.name(store.rules_path))


def add(project: Project, rule: Rule) -> None:
    """Append a rule, under the lock of the baselines.

    Raises
    ------
    ClnrmError
        CLN325: the file is broken or has a rule of that id. CLN001: it cannot be written.
    """
    store = BaselineStore(project)
    with store.lock():
        content = store.read(store.rules_path)
        store.replace(store.rules_path, appended(content, rule, store.name(store.rules_path)))


def remove(project: Project, rule_id: str) -> None:
    """Take a rule out, under the lock of the baselines; the comments around it stay.

    Raises
    ------
    ClnrmError
        CLN325: the file is broken, or no block of its own there has that id. CLN001: it cannot be written.
    """
    store = BaselineStore(project)
    with store.lock():
        content = store.read(store.rules_path) or b""
        store.replace(store.rules_path, without(content, rule_id, store.name(store.rules_path)))


# ---------------------------------------------------------------------------------------- on bytes alone


def rules_of(content: bytes, name: str) -> tuple[Rule, ...]:
    """The rules in the bytes of a file that messages call `name`.

    Raises
    ------
    ClnrmError
        CLN325, as :func:`read`.
    """
    parsed = _parsed(content, name)
    assert parsed.document is not None
    return tuple(
        replace(Rule.from_toml(block), place=parsed.locate((_TABLE, index)))
        for index, block in enumerate(parsed.document.get(_TABLE, ()))
    )


def appended(content: bytes | None, rule: Rule, name: str) -> bytes:
    """The file with one more rule at its end.

    Raises
    ------
    ClnrmError
        CLN325: the file is broken, has that id already, or would not read back.
    """
    before = content or b""
    if any(known.id == rule.id for known in rules_of(before, name)):
        raise ClnrmError(f"`{name}` has a rule `{rule.id}` already", "CLN325", hint="choose another id")
    line_break = "\r\n" if b"\r\n" in before else "\n"
    gap = line_break if before.strip() else ""
    if before and not before.endswith(b"\n"):
        gap += line_break
    made = before + (gap + block_of(rule).replace("\n", line_break)).encode()
    if rules_of(made, name)[-1] != rule:
        raise ClnrmError(f"rule `{rule.id}` would not read back as it was written", "CLN325")
    return made


def without(content: bytes, rule_id: str, name: str) -> bytes:
    """The file without one rule.

    Raises
    ------
    ClnrmError
        CLN325: the file is broken, or no ``[[tolerance]]`` block has that id.
    """
    parsed = _parsed(content, name)
    assert parsed.document is not None
    blocks = parsed.document.get(_TABLE, ())
    place = next((index for index, block in enumerate(blocks) if block["id"] == rule_id), None)
    if place is None:
        raise ClnrmError(f"`{name}` has no rule `{rule_id}`", "CLN325")
    positions = parsed.positions
    start = positions.headers.get((_TABLE, place))
    if start is None:
        raise ClnrmError(
            f"rule `{rule_id}` stands in an array in `{name}`", "CLN325", hint="take it out by hand"
        )
    spans = {**positions.headers, **positions.values}
    end = max(span[1] for path, span in spans.items() if path[:2] == (_TABLE, place))
    first, last = positions.line_column(start[0])[0] - 1, positions.line_column(end - 1)[0]
    lines = content.splitlines(keepends=True)
    if first and not lines[first - 1].strip():
        first -= 1
    made = b"".join([*lines[:first], *lines[last:]])
    rules_of(made, name)
    return made


def block_of(rule: Rule) -> str:
    """A rule as its ``[[tolerance]]`` block, with a final line break."""
    from clnrm_nb.template.values import toml_text

    lines = [f"[[{_TABLE}]]"]
    for key, value in rule.to_toml().items():
        text = toml_text(value)
        if isinstance(value, dict):
            text = "{ " + ", ".join(f"{name} = {toml_text(inner)}" for name, inner in value.items()) + " }"
        lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def _parsed(content: bytes, name: str) -> Parsed:
    """The file as a document that holds rules and nothing else."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        finding = Diagnostic("CLN325", f"`{name}` is not UTF-8", hint=_HINT).at(Location(name, line))
        raise _broken([finding]) from None
    parsed = parse(SimpleNamespace(file=name, source=text, text=text, templated=False, source_map=None))
    problems = list(parsed.diagnostics)
    if not problems:
        problems = locate_all(_findings(parsed.document or {}).items, parsed)
    if problems:
        raise _broken(problems)
    return parsed


def _findings(document: dict[str, Any]) -> Findings:
    findings = Findings()
    for key, value in document.items():
        if key != _TABLE:
            findings.add(
                "CLN325", (key,), f"unknown key `{key}`: this file holds `[[tolerance]]` only", part="key"
            )
        elif isinstance(value, list):
            build_tolerance(value, (key,), findings)
        else:
            findings.add("CLN325", (key,), "`tolerance` is an array of tables: write `[[tolerance]]`")
    return findings


def _broken(problems: Iterable[Diagnostic]) -> ClnrmError:
    """All of it under the one code of this file, whatever it is called elsewhere."""
    found = [
        Diagnostic(
            "CLN325",
            problem.message,
            problem.file,
            problem.line,
            problem.column,
            problem.end_line,
            problem.end_column,
            hint=problem.hint or _HINT,
        )
        for problem in sorted(problems, key=lambda one: one.sort_key)
    ]
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    place = Location(first.file or "", first.line or 1, first.column or 1, first.end_line, first.end_column)
    return ClnrmError(f"{first.message}{more}", "CLN325", hint=first.hint, location=place, diagnostics=found)
