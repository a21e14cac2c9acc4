"""Teaches pytest what ``%clnrm guard`` means: what ended on purpose is skipped, for nbmake and for nbval.

Neither would turn red for it, but green says that something was looked at. Only the guard's own mark in the
outputs counts, and only where no cell raised: an error stays an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = ["pytest_runtest_call", "pytest_runtest_makereport"]

_OUTPUTS = pytest.StashKey[list[Any]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Called by pytest: has nbmake leave us the notebook it executed, which it drops where all went well."""
    if not getattr(item, "nbmake", False):
        return (yield)
    from nbmake import pytest_items  # type: ignore[import-untyped]  # ships no annotation

    class Noted(pytest_items.NotebookRun):  # type: ignore[misc]  # its base is untyped, see above
        """The same run, which keeps its outputs with the item."""

        def execute(self) -> Any:
            result = super().execute()
            outputs = (cell.get("outputs", []) for cell in result.nb.cells)
            item.stash[_OUTPUTS] = [output for each in outputs for output in each]
            return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest_items, "NotebookRun", Noted)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Called by pytest."""
    report = yield
    # An item of nbval is one cell. Where the cell never ran, a comparison with its stored outputs is void.
    if call.when == "call" and (report.passed or getattr(item, "comparison_traceback", None)):
        outputs = item.stash.get(_OUTPUTS, None) or getattr(item, "test_outputs", None) or ()
        reason = _guarded(outputs)
        if reason is not None:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {reason}")
    return report


def _guarded(outputs: Iterable[Any]) -> str | None:
    """Why the guard ended the notebook; ``None`` where it did not, or something else went wrong."""
    reason = None
    for output in outputs:
        if output["output_type"] == "error":
            return None
        reason = reason or output.get("metadata", {}).get("clnrm", {}).get("skipped")
    return reason
