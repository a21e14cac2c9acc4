"""What is not wrong and could be better: CLN501 to CLN508, shown by ``lint`` and in editors only.

CLN508, "out of order", means three things, because a reader looks for them: ``[meta]`` (or ``[test]``) stands
ahead of all other tables, the parts of one top-level table stand together, and ``name`` is the first key of
its table. The order in which other tables come is the author's. Spacing is
:func:`clnrm_nb.formatter.format_text`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from clnrm_nb.errors import Diagnostic, Fix, TextEdit
from clnrm_nb.formatter import format_text
from clnrm_nb.scenario.model import Expect
from clnrm_nb.scenario.offers import better_spelling
from clnrm_nb.scenario.repairs import Insert, Repair, Splice
from clnrm_nb.validation.walk import all_expects, all_steps, is_written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath, TestFile
    from clnrm_nb.scenario.parse import Parsed
    from clnrm_nb.template import Rendered

__all__ = ["check_order", "check_spacing", "check_style"]

_SCENARIO_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|\\.", re.DOTALL)
_PIPE: Final = re.compile(r"(?<![|>])\|(?!\|)")
_FAR: Final = 200
"""Lines in which the formatted text must meet the written one again; what is longer is one edit."""
_NO_EXPECTATION: Final = Expect()


def check_style(test: TestFile, parsed: Parsed, rendered: Rendered, findings: Findings) -> None:
    """CLN501 to CLN507."""
    document = parsed.document or {}
    head: KeyPath = next(((key,) for key in ("meta", "test") if key in document), ())
    if head and not test.metadata.description:
        findings.add("CLN501", head, "the test has no description", part="header")
    otel = document.get("otel")
    if isinstance(otel, dict) and "sample_ratio" not in otel:
        repair = Repair("Add `sample_ratio = 1.0`", (Insert(("otel",), "sample_ratio", "1.0"),))
        findings.add("CLN502", ("otel",), "`[otel]` has no `sample_ratio`", part="header", repair=repair)
    for scenario in test.scenarios:
        if scenario.name and _SCENARIO_NAME.fullmatch(scenario.name) is None:
            path = scenario.path_of("name")
            better = re.sub(r"[^A-Za-z0-9_-]+", "-", scenario.name).strip("-") or "scenario"
            # Baselines and selections know a scenario by its name.
            renamed = better_spelling(path, scenario.name, better, safe=False)
            message = f"scenario name `{scenario.name}` has characters outside `A-Za-z0-9_-`"
            findings.add("CLN503", path, message, repair=renamed)
    for service in test.services.values():
        path = service.path_of("image")
        if service.image and is_written(document, path) and _moves(service.image):
            findings.add("CLN504", path, f"image `{service.image}` may be another one tomorrow",
                         hint="name a tag, or a digest")  # fmt: skip
    if all(expect == _NO_EXPECTATION for expect in all_expects(test)):
        findings.add("CLN505", (), "the file expects nothing of the spans", part="file")
    for step in all_steps(test):
        if step.command[:2] == ("sh", "-c") and _is_unsafe_pipeline(step.command[2]):
            # A step of `run` is written there itself; others have their command below them.
            written = next(
                (p for p in (step.path_of("command"), step.source) if is_written(document, p)), step.source
            )
            findings.add("CLN506", written, "a failure inside the pipeline goes unseen",
                         hint="run it by `bash` with `set -o pipefail`, or split it into steps")  # fmt: skip
    if rendered.dependencies.nondeterministic and "determinism" in document:
        findings.add("CLN507", ("determinism",), "the file renders differently each time", part="header",
                     hint="give `seed` and `freeze_clock`, or a `seed` to the generators")  # fmt: skip


def _moves(image: str) -> bool:
    """Whether the reference may mean another image tomorrow."""
    if "@" in image:
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


def _is_unsafe_pipeline(command: str) -> bool:
    return "pipefail" not in command and _PIPE.search(_QUOTED.sub("''", command)) is not None


# ---------------------------------------------------------------------------------------------- CLN508


def check_order(parsed: Parsed, findings: Findings) -> None:
    """CLN508 for tables that stand apart from their kind and for names that are not first."""
    tables = _top_tables(parsed)
    first_other = next((table for table, _ in tables if table not in ("meta", "test")), None)
    seen: list[str] = []
    for table, path in tables:
        if table in ("meta", "test") and first_other in seen:
            findings.add("CLN508", path, f"`[{table}]` stands behind other tables", part="header",
                         repair=_moved_to_front(parsed, path))  # fmt: skip
        elif table in seen and seen[-1] != table:
            findings.add(
                "CLN508", path, f"this part of `{table}` stands apart from the others", part="header"
            )
        seen.append(table)
    for path, own in _keys_by_table(parsed).items():
        names = [key for key, _ in own]
        if "name" in names[1:] and path and path != ("vars",):
            place = (*path, "name")
            findings.add("CLN508", place, "`name` is not the first key of its table", part="key",
                         repair=_swapped(parsed, own))  # fmt: skip


def _top_tables(parsed: Parsed) -> list[tuple[str, KeyPath]]:
    """The headers in file order: top-level table and path."""
    return [
        (str(path[0]), path) for _, path in parsed.positions.statements if path in parsed.positions.headers
    ]


def _keys_by_table(parsed: Parsed) -> dict[KeyPath, list[tuple[str, KeyPath]]]:
    """The plain keys that stand directly under each header, in order."""
    positions = parsed.positions
    tables: dict[KeyPath, list[tuple[str, KeyPath]]] = {}
    for _, path in positions.statements:
        if path in positions.headers:
            tables.setdefault(path, [])
        elif path[:-1] in tables and isinstance(path[-1], str):
            tables[path[:-1]].append((path[-1], path))
    return tables


def _moved_to_front(parsed: Parsed, path: KeyPath) -> Repair | None:
    """The block of `path`, the comments above it included, ahead of the first table; plain files only."""
    text = parsed.positions.text
    headers = [span[0] for span, known in parsed.positions.statements if known in parsed.positions.headers]
    start = parsed.positions.headers[path][0]
    if parsed.rendered.templated or parsed.holes:
        return None
    begin = _with_comments(text, start)
    following = next((at for at in headers if at > start), None)
    end = len(text) if following is None else _with_comments(text, following)
    front = _with_comments(text, headers[0])
    block = text[begin:end].rstrip("\n") + "\n\n"
    return Repair("Move it to the front", (Splice((front, front), block), Splice((begin, end), "")))


def _with_comments(text: str, start: int) -> int:
    """The start of the comment lines directly above the line at `start`."""
    begin = text.rfind("\n", 0, start) + 1
    while begin and text[text.rfind("\n", 0, begin - 1) + 1 : begin].lstrip().startswith("#"):
        begin = text.rfind("\n", 0, begin - 1) + 1
    # The first lines of a file speak of the file.
    return start if begin == 0 and start else begin


def _swapped(parsed: Parsed, own: list[tuple[str, KeyPath]]) -> Repair | None:
    """The line of ``name`` ahead of the first key; only where both stand on lines of their own."""
    positions = parsed.positions
    first, name = own[0][1], next(path for key, path in own if key == "name")
    if first not in positions.keys or name not in positions.values:
        return None
    at = positions.text.rfind("\n", 0, positions.keys[first][0]) + 1
    line = positions.text.rfind("\n", 0, positions.keys[name][0]) + 1
    end = positions.text.find("\n", positions.values[name][1]) + 1
    if end == 0 or positions.text[line - 2 : line - 1] == "#":
        return None
    above = positions.text[positions.text.rfind("\n", 0, line - 1) + 1 : line]
    if above.lstrip().startswith("#"):
        return None
    moved = positions.text[line:end]
    return Repair("Put `name` first", (Splice((at, at), moved), Splice((line, end), "")))


def _differences(before: list[str], after: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """Where two texts differ, as line numbers from 0: start and end in `before`, start and end in `after`.

    The formatter moves nothing, so the next common line is near. A diff that may move anything takes minutes
    for 20,000 lines of which most are alike (difflib, 2026-11).
    """
    old = new = 0
    while old < len(before) or new < len(after):
        if before[old : old + 1] == after[new : new + 1]:
            old, new = old + 1, new + 1
            continue
        next_old, next_new = _next_common(before, after, old, new)
        yield old, next_old, new, next_new
        old, new = next_old, next_new


def _next_common(before: list[str], after: list[str], old: int, new: int) -> tuple[int, int]:
    for distance in range(1, _FAR):
        for skipped in range(distance + 1):
            there = old + skipped, new + distance - skipped
            if there == (len(before), len(after)):
                return there
            lines = before[there[0] : there[0] + 1], after[there[1] : there[1] + 1]
            # A blank line is no sign of being in the same place again.
            if lines[0] == lines[1] and lines[0] and lines[0][0]:
                return there
    return len(before), len(after)


def check_spacing(rendered: Rendered) -> Iterator[Diagnostic]:
    """CLN508 at the first line that the formatter would write otherwise; its fix formats the file."""
    source = rendered.source.replace("\r\n", "\n")
    formatted = format_text(source, templated=rendered.templated, library=rendered.library)
    if formatted == source:
        return
    before, after = source.split("\n"), formatted.split("\n")
    edits = tuple(_line_edits(before, after))
    first = edits[0].line
    yield Diagnostic(
        "CLN508", "the layout is not that of `clnrm fmt`", rendered.file, first, 1,
        fix=Fix("Format the file", edits),
    )  # fmt: skip


def _line_edits(before: list[str], after: list[str]) -> Iterator[TextEdit]:
    for start, end, new_start, new_end in _differences(before, after):
        new = after[new_start:new_end]
        if end < len(before):
            yield TextEdit(start + 1, 1, end + 1, 1, "".join(f"{line}\n" for line in new))
        elif start:
            # At the end of the file the line break in front belongs to the edit.
            text = "".join(f"\n{line}" for line in new)
            yield TextEdit(start, len(before[start - 1]) + 1, end, len(before[-1]) + 1, text)
        else:
            yield TextEdit(1, 1, end, len(before[-1]) + 1, "\n".join(new))
