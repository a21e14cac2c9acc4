"""Mutated templates: every slip at its line and column, all in one pass, with a safe repair, and repairs that
hold (`make bench`, six seconds of CPU). Figures are printed by kind of slip.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from clnrm_nb.fixes import mend
from clnrm_nb.template import TemplateRequest, combinations, render
from clnrm_nb.validation import check

GOAL_EXACT, GOAL_LINE, GOAL_ONE_PASS, GOAL_FIXABLE = 0.97, 0.995, 0.95, 0.70
FIRST_SEED = 20_250
FILES = 600
SEVERAL = (2, 3, 4, 5)


def load():
    source = Path(__file__).with_name("scenario_mutations.py")
    spec = importlib.util.spec_from_file_location("scenario_mutations", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules["scenario_mutations"] = module
    spec.loader.exec_module(module)
    return module


mutations = load()


@pytest.fixture
def diagnose(tmp_path):
    (tmp_path / ".clnrm").mkdir()
    for name, text in mutations.FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def findings(text):
        request = TemplateRequest(
            path=tmp_path / "a.clnrm.toml.tera", file="a.clnrm.toml.tera", project_root=tmp_path, text=text
        )
        found = {}
        chosen, own = combinations(request)
        for finding in own:
            found.setdefault(str(finding), finding)
        for matrix in chosen[:1]:
            for finding in check(render(replace(request, matrix=matrix))).diagnostics:
                found.setdefault(str(finding), finding)
        return list(found.values())

    return findings


def slips(number):
    """How many slips the file of this number carries: one third carry two to five."""
    return SEVERAL[number // 3 % len(SEVERAL)] if number % 3 == 2 else 1


def measure(diagnose, files):
    counts = defaultdict(Counter)
    misses, together, one_pass = [], 0, 0
    bad = Counter()
    for number in range(files):
        seed = FIRST_SEED + number
        base, text, truths = mutations.mutate(seed, slips(number))
        found = diagnose(text)
        for truth in truths:
            of_code = [finding for finding in found if finding.code == truth.code]
            on_line = [finding for finding in of_code if finding.line == truth.line]
            exact = [finding for finding in on_line if finding.column == truth.column]
            fixable = [finding for finding in on_line if finding.fix and finding.fix.safe]
            counts[truth.kind].update(all=1, exact=bool(exact), line=bool(on_line), fixable=bool(fixable))
            if len(truths) > 1:
                together += 1
                one_pass += bool(on_line)
            if not exact:
                misses.append((seed, base, truth, [str(f) for f in found if f.severity != "info"][:6]))
        mended = mend(text, diagnose, lambda finding: finding.fix.safe)
        if mended.fixed:
            again = mend(mended.text, diagnose, lambda finding: finding.fix.safe)
            bad["applied"] += 1
            bad["not idempotent"] += again.text != mended.text
            bad["worse"] += _errors(mended.remaining) > _errors(found)
            bad["no better"] += len(mended.remaining) >= len(found) and _errors(mended.remaining) >= _errors(
                found
            )
        bad["refused"] += len(mended.refused)
    return counts, misses, (together, one_pass), bad


def _errors(findings):
    stages = Counter(finding.code[3] for finding in findings if finding.severity == "error")
    return stages["1"], stages["2"], sum(stages.values())


@pytest.mark.bench
def test_slips_are_found_where_they_were_made_and_repaired(diagnose):
    for name, base in mutations.BASES.items():
        assert [str(finding) for finding in diagnose(base)] == [], name
    started = time.process_time()

    counts, misses, (together, one_pass), bad = measure(diagnose, FILES)

    total = sum(counts.values(), Counter())
    print(
        f"\n{FILES} files, seeds from {FIRST_SEED}, {total['all']} slips, {time.process_time() - started:.1f} s CPU"
    )
    for kind, count in sorted(counts.items()):
        print(
            f"  {kind:28} {count['all']:4}  exact {count['exact']:4}  line {count['line']:4}  safe fix {count['fixable']:4}"
        )
    shares = {name: total[name] / total["all"] for name in ("exact", "line", "fixable")}
    shares["one pass"] = one_pass / together
    print({name: f"{share:.4f}" for name, share in shares.items()}, dict(bad))
    for miss in misses[:40]:
        print("  missed", *miss)
    assert shares["exact"] >= GOAL_EXACT
    assert shares["line"] >= GOAL_LINE
    assert shares["one pass"] >= GOAL_ONE_PASS
    assert shares["fixable"] >= GOAL_FIXABLE
    assert bad["not idempotent"] == bad["worse"] == bad["no better"] == 0
