"""Teaches pytest (nbmake) what ``%clnrm guard`` means: a notebook ended on purpose is skipped, not failed.

Only the guard's own mark counts. A ``SystemExit`` of anybody else stays the error that nbmake takes it for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["pytest_runtest_makereport"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Called by pytest."""
    report = yield
    if report.failed and call.excinfo is not None and getattr(item, "nbmake", False):
        reason = _guarded(call.excinfo.value)
        if reason is not None:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {reason}")
    return report


def _guarded(error: BaseException) -> str | None:
    """Why the guard ended the notebook; ``None`` where something else did."""
    executed = getattr(error.args[0] if error.args else None, "nb", None)
    for cell in getattr(executed, "cells", ()):
        outputs: list[Any] = cell.get("outputs", [])
        errors = [output.ename for output in outputs if output.output_type == "error"]
        if errors:
            marks = [output.get("metadata", {}).get("clnrm", {}).get("skipped") for output in outputs]
            reasons = [mark for mark in marks if mark]
            return str(reasons[-1]) if reasons and errors == ["SystemExit"] else None
    return None
