"""Two thousand inputs of the fuzzer in each run of the tests; `make bench-full` takes a hundred thousand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).parents[1] / "fuzz" / "loaders.py"
FORMS = ("console", "csv", "flat", "jaeger", "otlp-json", "otlp-proto", "signoz", "tempo", "zipkin")


def _fuzz(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(FUZZER), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_fuzz_loaders_give_spans_or_an_error_with_a_place_whatever_they_read() -> None:
    said = _fuzz("--inputs", "2000", "--seed", "4")

    assert "2000 inputs of seed 4, 0 break a law" in said
    assert all(f"{form} " in said for form in FORMS), said


@pytest.mark.bench_full
def test_bench_full_a_hundred_thousand_inputs_for_the_loaders() -> None:
    said = _fuzz("--inputs", "100000", "--seed", "1")

    print(said)
    assert "100000 inputs of seed 1, 0 break a law" in said
