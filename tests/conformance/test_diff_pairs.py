"""Pairs of real traces with a known number of edits (``corpus/traces/pairs.csv``).

The corpus is reached by CLNRM_CORPUS or as ``../shared/corpus`` beside the checkout.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from clnrm_nb.diff import compare
from clnrm_nb.spans.loaders import load

CORPUS = Path(os.environ.get("CLNRM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "traces"
PAIRS = CORPUS / "pairs.csv"


def rows():
    if not PAIRS.exists():
        return []
    with PAIRS.open(encoding="utf-8", newline="") as file:
        return [(row["left"], row["right"], int(row["items"]), row["edits"]) for row in csv.DictReader(file)]


@pytest.mark.skipif(not PAIRS.exists(), reason="no trace corpus; set CLNRM_CORPUS")
@pytest.mark.parametrize(("left", "right", "items", "edits"), rows())
def test_a_pair_has_as_many_edits_as_its_answer(left, right, items, edits):
    before, after = load(CORPUS / left)[0], load(CORPUS / right)[0]

    diff = compare(before, after)

    assert len(diff.counted) == items
    wanted = sorted(line.split()[0] for line in edits.split(" | ") if line)
    assert sorted(edit.op for edit in diff.counted) == wanted
