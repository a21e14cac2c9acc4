"""From an editor's write to a verdict, as phases of one trace.

``clnrm.watch.change`` begins when the file was written, as the file itself says, and has as parts
``clnrm.watch.event`` (until its event was seen), ``clnrm.watch.check`` (rendered, validated, findings shown),
``clnrm.watch.settle`` (until nothing more came) and ``clnrm.run``.

>>> reaction = Reaction(["a.clnrm.toml"], written_ns=None, seen_ns=time.time_ns())
>>> with reaction.checking():
...     pass  # render and validate what was saved, show what was found
>>> with reaction.running():
...     pass  # await run_pipeline(…)
>>> [part.name for part in reaction.change.parts]
['clnrm.watch.event', 'clnrm.watch.check', 'clnrm.watch.settle']
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from clnrm_nb.spans.phases import Phase, begun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CHANGE", "CHECK", "Reaction", "is_written"]

CHANGE: Final = "clnrm.watch.change"
CHECK: Final = "clnrm.watch.check"

_WRITTEN: Final = "clnrm.watch.written"
_LONGEST_NS: Final = 10_000_000_000
"""A file that says it was written longer before its event was moved here, or its time was set."""

_MOST_NAMES: Final = 20


class Reaction:
    """One change of files on its way.

    Parameters
    ----------
    files : sequence of str
        That were saved.
    written_ns : int, optional
        When, as they say (``st_mtime_ns``; of several, the first); ``None`` where there is nothing to ask,
        as after a removal. A time that cannot be true is taken for none: then nothing is measured from it.
    seen_ns : int
        When the event came, by :func:`time.time_ns`.
    """

    def __init__(self, files: Sequence[str], *, written_ns: int | None, seen_ns: int) -> None:
        is_known = written_ns is not None and 0 <= seen_ns - written_ns <= _LONGEST_NS
        start_ns = written_ns if is_known and written_ns is not None else seen_ns
        about = {"clnrm.watch.files": list(files[:_MOST_NAMES]), _WRITTEN: is_known}
        self.change = Phase(CHANGE, start_ns=start_ns, attributes=about)
        self.change.note("clnrm.watch.event", start_ns, seen_ns)
        self._idle_ns = seen_ns

    @contextmanager
    def checking(self) -> Iterator[Phase]:
        """The leading edge: what was saved is rendered and validated, its findings are shown."""
        with begun(self.change.part(CHECK)) as check:
            yield check
        self._idle_ns = time.time_ns()

    @contextmanager
    def running(self) -> Iterator[Phase]:
        """The trailing edge: what depends on it runs, until the verdict; the change is over then."""
        self.change.note("clnrm.watch.settle", self._idle_ns, time.time_ns())
        with begun(self.change):
            yield self.change

    def drop(self) -> None:
        """Nothing has to run for it, or something newer takes its place."""
        self.change.end()


def is_written(change: Phase) -> bool:
    """Whether the change begins with a write, and not with its event."""
    return bool(change.attributes.get(_WRITTEN))
