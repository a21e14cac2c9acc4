"""Scenarios with known verdicts, run by ``clnrm self-test``: data, and the verdict each must get."""

from __future__ import annotations

from typing import Final

__all__ = ["VERDICTS"]

VERDICTS: Final = {
    "green.clnrm.toml.tera": "passed",
    "no_spans.clnrm.toml": "failed",
    "missing_edge.clnrm.toml": "failed",
    "wrong_exit_code.clnrm.toml": "failed",
    "hanging_command.clnrm.toml": "failed",
    "not_evaluated.clnrm.toml": "incomplete",
    "broken.clnrm.toml.tera": "error",
}
"""File → status it must get on the process backend. Most must *not* pass: that is what is proved."""
