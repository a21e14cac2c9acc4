"""``scaffold``: a first scenario from what is there already."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.report.spanviews import Text
from clnrm_nb.report.text import number_text
from clnrm_nb.scaffold import Scaffold
from clnrm_nb.scaffold import scaffold as make

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["scaffold"]


def scaffold(
    file: str | Path,
    *,
    output: str | Path | None = None,
    input_format: str | None = None,
    context: Context | None = None,
    **options: Any,
) -> Text:
    """A first scenario from a compose file or a recorded trace, recognised by its content.

    Parameters
    ----------
    file : path
        A compose file, a recording, or spans in any form that is read; ``-`` is standard input.
    output : path, optional
        Write there; a file that is there already is left alone.
    input_format : str, optional
        Takes `file` for spans of this form.

    Returns
    -------
    Text
        The scenario file, or what was written. It is valid and does not pass: ``TODO`` marks what a person
        must decide.

    Raises
    ------
    ClnrmError
        CLN001: it cannot be read. CLN607: it is neither of the two. CLN618: a damaged recording.
    UsageError
        `output` is there already, or cannot be written; or the compose file cannot be read.
    """
    context_of(context, options)
    refuse_unknown("scaffold", options)
    here = Path(output).parent if output is not None else _parent(file)
    made = make(
        _read(file),
        name="standard input" if str(file) == "-" else Path(file).name,
        directory=Path(os.path.relpath(_parent(file), here)).as_posix(),
        input_format=input_format,
    )
    if output is None:
        return Text(made.text, command="scaffold", data={"text": made.text, **_data(made)})
    _create(Path(output), made.text)
    todos = "".join(f"  {output}:{number}: {text}\n" for number, text in made.todos)
    asides = "" if ".clnrm.toml" in Path(output).name else "  a name ending .clnrm.toml is found by itself\n"
    said = f"{output}: {number_text(len(made.todos), 'TODO')}\n{todos}{asides}"
    return Text(said, command="scaffold", data={"file": str(output), **_data(made)})


def _parent(file: str | Path) -> Path:
    return Path() if str(file) == "-" else Path(file).parent


def _data(made: Scaffold) -> Mapping[str, Any]:
    return {"kind": made.kind, "todos": [{"line": number, "text": text} for number, text in made.todos]}


def _read(file: str | Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ClnrmError(f"cannot read `{file}`: {reason}", "CLN001") from None


def _create(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        hint = "Nothing was written. Give another name, or remove it first."
        raise UsageError(f"{path} is there already", hint=hint) from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
