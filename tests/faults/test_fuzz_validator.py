"""A few hundred inputs of the fuzzer in each run of the tests; `make fuzz` takes a million (see tests/fuzz)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).parents[1] / "fuzz" / "validator.py"


def test_fuzz_validator_never_raises_on_arbitrary_bytes() -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZER), "--inputs", "2000", "--seconds", "15", "--seed", "4"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 break a law" in done.stdout
