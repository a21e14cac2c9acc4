"""Which tests a watcher runs: what the command line selected, narrowed by what a person asked for since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clnrm_nb.pipeline.select import select

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from clnrm_nb.api.watching.project import KnownTest
    from clnrm_nb.pipeline.request import RunRequest

__all__ = ["Filters"]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a person wants to see run; it stays until it is cleared.

    Parameters
    ----------
    file : str
        A part of the path of a test's file.
    test : str
        A ``-k`` expression.
    failed : bool
        Only tests that do not pass.
    """

    file: str = ""
    test: str = ""
    failed: bool = False

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.file or self.test or self.failed)

    def to_json(self) -> dict[str, Any]:
        """Of ``watch.filter``."""
        return {"file": self.file, "test": self.test, "failed": self.failed}

    def chosen(
        self, tests: Iterable[KnownTest], request: RunRequest, failing: Collection[str]
    ) -> list[KnownTest]:
        """Tests that options and filters leave, in path order.

        Parameters
        ----------
        request : RunRequest
            Of the command line.
        failing : collection of str
            Ids of tests that do not pass.

        Raises
        ------
        UsageError
            An expression is malformed.
        """
        chosen = select(
            sorted(tests, key=lambda test: test.test_id),
            tags=request.tags,
            only=request.only,
            expression=request.expression,
            shard=request.shard,
        )
        if self.test:
            chosen = select(chosen, expression=self.test)
        return [
            test
            for test in chosen
            if self.file in test.test_id.partition("[")[0] and (not self.failed or test.test_id in failing)
        ]
