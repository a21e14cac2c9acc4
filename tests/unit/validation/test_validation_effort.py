"""Long files: the effort grows with their length, whatever is wrong with them and however often.

Ten thousand findings in a file of 600 kB took minutes where each one asked all statements again; now they take
two to six seconds of CPU (two cores, 2026-11). What is pinned here is the growth, on sizes that cost little.
"""

from __future__ import annotations

import time

import pytest

from clnrm_nb.fixes import mend
from tests.unit.fixes.test_fixes_offered import BASE, findings

STEP = '[[steps]]\nname = "s{0}"\ncommand = "true"\n{1}\n\n'
KINDS = {
    "nothing": 'service = "api"',
    "unknown key": 'servce = "api"',
    "wrong type": "service = 1",
    "unknown service": 'service = "apii"',
    "quote lost": 'service = "api',
    "unknown name": '[[expect.window]]\nouter = "x{0}"\ncontains = ["y{0}"]\n[[expect.span]]\nname = "z{0}"',
    "bracket lost": "x_{0} = [1, 2",
}
SMALL, FACTOR = 40, 16
LINEAR_WITH_NOISE = 4


def _text(kind, steps):
    return BASE + "".join(STEP.format(number, KINDS[kind].format(number)) for number in range(steps))


def _cpu_s(work, *arguments):
    """The lesser of two: what else the machine does only ever adds."""
    taken = []
    for _ in range(2):
        started = time.process_time()
        work(*arguments)
        taken.append(time.process_time() - started)
    return min(taken)


def _lint(text):
    return findings(text, style=True)


def _fix(text):
    return mend(text, _lint, lambda finding: finding.fix.safe)


@pytest.mark.parametrize("kind", KINDS)
def test_checking_a_file_takes_as_long_as_the_file_is(kind):
    small, large = (_cpu_s(_lint, _text(kind, steps)) for steps in (SMALL, SMALL * FACTOR))

    assert large <= small * FACTOR * LINEAR_WITH_NOISE, f"{small:.3f} s, {large:.3f} s of CPU"


def test_repairing_many_slips_takes_as_long_as_the_file_is():
    small, large = (_cpu_s(_fix, _text("unknown key", steps)) for steps in (SMALL, SMALL * FACTOR))

    assert large <= small * FACTOR * LINEAR_WITH_NOISE, f"{small:.3f} s, {large:.3f} s of CPU"
