"""First scenarios from what is there already: a compose file, or a trace somebody recorded.

What comes out is valid at once and never green unchanged: whatever only a person can know is a command that
fails and says so, or an image that nobody can pull. What a file is, its content says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clnrm_nb.errors import ClnrmError, UsageError
from clnrm_nb.scaffold.compose import from_compose, looks_like_compose
from clnrm_nb.scaffold.traces import from_trace, read_recording, read_spans

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["Scaffold", "scaffold"]


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A scenario file that waits for a person, and what it was made from."""

    text: str
    kind: Literal["compose", "recording", "trace"]

    @property
    def todos(self) -> list[tuple[int, str]]:
        """Lines a person must look at: number and text."""
        rows = enumerate(self.text.splitlines(), 1)
        return [(number, row.strip()) for number, row in rows if "TODO" in row and "TODO marks" not in row]


def scaffold(data: bytes, *, name: str, directory: str = ".", input_format: str | None = None) -> Scaffold:
    """Make a first scenario.

    Parameters
    ----------
    data : bytes
        A compose file, a recording, or spans in any form that is read.
    name : str
        The file's name, for comments and messages.
    directory : str
        Directory of the file from that of the scenario file to be: host paths start there.
    input_format : str, optional
        Takes `data` for spans of this form.

    Raises
    ------
    UsageError
        A compose file that cannot be read.
    ClnrmError
        CLN607: it is none of these, or holds no span. CLN618: a damaged recording.
    """
    problem: UsageError | None = None
    if input_format is None:
        if (recorded := read_recording(data)) is not None:
            return Scaffold(from_trace(recorded, name=name), "recording")
        if looks_like_compose(data):
            try:
                text = from_compose(data, name=name, directory=directory)
            except UsageError as error:
                # A trace may hold such a line too; only where it is none, the word on YAML counts.
                problem = error
            else:
                if text is not None:
                    return Scaffold(text, "compose")
    try:
        seen = read_spans(data, input_format, name=name)
    except ClnrmError as error:
        if problem is not None:
            raise problem from None
        # A form that is known and not read, or a trace without spans, has a better sentence already.
        if error.code != "CLN607" or "no known form" not in error.message or input_format is not None:
            raise
        raise ClnrmError(
            f"{name} is neither a compose file nor a recorded trace",
            "CLN607",
            hint="A compose file has `services`; a trace is OTLP/JSON or a form that `clnrm spans` reads.",
        ) from error
    return Scaffold(from_trace(seen, name=name), "trace")
