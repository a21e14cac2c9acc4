"""A difference with what the main branch has of it already: lines, Markdown, a table, JSON.

What is new here stands in full, the rest is counted: somebody else has it in hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.baseline.threeway import STANDINGS
from clnrm_nb.report.difftext import closing_lines, head_lines, told_findings
from clnrm_nb.report.diffwords import edit_text, place_text
from clnrm_nb.report.lines import Line, line
from clnrm_nb.report.markdown import escaped
from clnrm_nb.report.signs import UNICODE, Signs
from clnrm_nb.report.tables import Table
from clnrm_nb.report.text import number_text, one_line, visible, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.baseline.threeway import Standing, ThreeWay
    from clnrm_nb.diff.model import Edit
    from clnrm_nb.report.difflayout import Compared
    from clnrm_nb.report.diffs import TraceDiff

__all__ = ["three_way_lines", "three_way_markdown", "three_way_table", "with_three_way"]

_MOST_EDITS: Final = 20
_SHOWN: Final[tuple[Standing, ...]] = ("new here", "differs from main")
_NO_MAIN: Final = "nothing of the main branch is known: this is the difference of two"


def with_three_way(diff: TraceDiff, parts: Mapping[str, ThreeWay]) -> None:
    """Note how its differences stand to main, by the ids of the comparisons."""
    diff.comparisons = tuple(replace(one, three_way=parts.get(one.id)) for one in diff.comparisons)
    for entry in diff.raw["data"]["diffs"]:
        if entry["id"] in parts:
            entry["three_way"] = parts[entry["id"]].to_json()


def three_way_lines(diff: TraceDiff, *, signs: Signs, width: int, is_verbose: bool = False) -> list[Line]:
    """All comparisons and a summary; verbose: also what main has, and what is gone."""
    lines: list[Line] = []
    for compared in diff.comparisons:
        lines += head_lines(compared, signs, width)
        lines += told_findings(compared, signs, width)
        if compared.differs:
            lines += _part(compared, signs, width, is_verbose=is_verbose)
    return lines + closing_lines(diff, signs, width)


def _part(compared: Compared, signs: Signs, width: int, *, is_verbose: bool) -> Iterator[Line]:
    part = compared.three_way
    yield line((f"  {_beside(part)}", "dim"))
    if part is not None:
        yield line(f"  {_counted(part)}")
    told = STANDINGS if is_verbose else _SHOWN
    for word in told if part is not None and part.main is not None else (None,):
        edits = _edits(compared, word)
        for edit in edits[: None if is_verbose else _MOST_EDITS]:
            other = part.on_main.get(edit.edit_id) if part is not None else None
            text = f"{f'{word}: ' if word else ''}{_text(edit, signs)}"
            text += f" (on main: {_text(other, signs)})" if other is not None else ""
            for number, row in enumerate(wrapped(visible(text), max(width - 6, 30))):
                mark = "    " if number else f"  {signs.dot} "
                yield line((mark, "dim"), row)
            place = f"{one_line(place_text(edit))} {signs.dot} {edit.edit_id}"
            yield line((f"    {place}", "dim"))
        if len(edits) > _MOST_EDITS and not is_verbose:
            yield line(
                (f"    and {number_text(len(edits) - _MOST_EDITS, 'more edit')} (all of them: -v)", "dim")
            )


def _beside(part: ThreeWay | None) -> str:
    return _NO_MAIN if part is None or part.main is None else f"beside {one_line(part.main.name)}"


def _counted(part: ThreeWay) -> str:
    return ", ".join(f"{number_text(count)} {word}" for word, count in part.counts.items() if count)


def _edits(compared: Compared, word: Standing | None) -> list[Edit]:
    part, counted = compared.three_way, [edit for edit in compared.edits if edit.counted]
    if part is None or word is None:
        return counted
    if word == "gone here":
        return list(part.gone)
    return [edit for edit in counted if part.standing.get(edit.edit_id) == word]


def _text(edit: Edit, signs: Signs) -> str:
    return edit_text(edit) if signs is UNICODE else edit_text(edit, "->").replace("×", "x")


def three_way_markdown(compared: Compared) -> list[str]:
    """What of a comparison is new here, for a pull request."""
    part = compared.three_way
    if part is None or not compared.differs:
        return []
    if part.main is None:
        return [f"*{_NO_MAIN}*", ""]
    lines = [f"{escaped(_counted(part))}, beside {escaped(part.main.name)}", ""]
    for word in _SHOWN:
        edits = _edits(compared, word)
        for edit in edits[:_MOST_EDITS]:
            other = part.on_main.get(edit.edit_id)
            on_main = f" (on main: {escaped(edit_text(other))})" if other is not None else ""
            where = escaped(place_text(edit))
            lines.append(f"- **{word}** {escaped(edit_text(edit))}{on_main}, {where} ({edit.edit_id})")
        if len(edits) > _MOST_EDITS:
            lines.append(f"- and {number_text(len(edits) - _MOST_EDITS)} more that are {word}")
    return [*lines, ""]


def three_way_table(diff: TraceDiff) -> Table:
    """One row an edit of either side, with how it stands to main."""
    rows: list[list[Any]] = []
    notes: list[str] = []
    for compared in diff.comparisons:
        part = compared.three_way
        if part is None or part.main is None:
            notes.append(f"{compared.id}: {_NO_MAIN}")
            continue
        notes.append(f"{compared.id}: beside {part.main.name}")
        for word in STANDINGS:
            rows += [
                _row(compared.id, word, edit, part.on_main.get(edit.edit_id))
                for edit in _edits(compared, word)
            ]
    return Table("three-way", _HEADER, rows, command="diff", exit_code=diff.exit_code, notes=notes)


_HEADER: Final = ("id", "standing", "op", "where", "change", "on_main", "edit_id", "cause_id")


def _row(compared_id: str, word: str, edit: Edit, other: Edit | None) -> list[Any]:
    on_main = edit_text(other) if other is not None else None
    return [
        compared_id,
        word,
        edit.op,
        place_text(edit),
        edit_text(edit),
        on_main,
        edit.edit_id,
        edit.cause_id,
    ]
