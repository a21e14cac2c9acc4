"""``template`` and ``template list``: starter files, complete and commented."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.api.contexts import context_of, refuse_unknown
from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.errors import UsageError
from clnrm_nb.report.spanviews import Text
from clnrm_nb.report.tables import Table
from clnrm_nb.starters import STARTERS, text_of

if TYPE_CHECKING:
    from clnrm_nb.api.contexts import Context

__all__ = ["template", "template_list"]


def template(
    name: str, *, output: str | Path | None = None, context: Context | None = None, **options: Any
) -> Text:
    """A starter file.

    Parameters
    ----------
    name : str
        One of ``template_list().frame["name"]``.
    output : path, optional
        Write it there. A file that is there is never overwritten.

    Returns
    -------
    Text
        The file, or with `output` where it is.

    Raises
    ------
    UsageError
        There is no such starter, `output` is there already, or it cannot be written.
    """
    context_of(context, options)
    refuse_unknown("template", options)
    if name not in STARTERS:
        names = ", ".join(STARTERS)
        raise UsageError(f"no starter {name!r}{did_you_mean(name, STARTERS)}", hint=f"Starters: {names}.")
    text = text_of(name)
    if output is None:
        return Text(text, command="template")
    _write_new(Path(output), text)
    return Text(f"{output} was written\n", command="template", data={"file": str(output), "text": text})


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        hint = "It was left as it is; choose another name."
        raise UsageError(f"{path} is there already", hint=hint) from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def template_list(*, context: Context | None = None, **options: Any) -> Table:
    """The starter files there are, each with one sentence."""
    context_of(context, options)
    refuse_unknown("template_list", options)
    rows = [[name, sentence] for name, sentence in STARTERS.items()]
    note = "`clnrm template NAME -o FILE` writes one."
    return Table("starters", ("name", "shows"), rows, command="template list", notes=[note])
