"""What holds for every diff, asked of benchmark cases: inverse, order, processes (`diff.md` 3, laws).

python tests/benchmarks/diff_laws.py K N SITES     # a digest of N diffs, the same under any hash seed
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence

from diff_measure import Words, mixes
from diff_mutations import make_case

from clnrm_nb.diff import Diff, compare, prepare
from clnrm_nb.spans.table import SpanTable

INVERSE = {"insert": "delete", "wrap": "unwrap"}
INVERSE |= {f"{op}+": f"{op}-" for op in ("attr", "resource", "event", "link")}
INVERSE |= {back: forth for forth, back in INVERSE.items()}


def described(diff: Diff, *, inverse: bool = False) -> Counter[str]:
    """The counted edits, or what their inverses would say."""
    found: Counter[str] = Counter()
    for edit in diff.counted:
        # What many spans share stands at the service they had before.
        before, after = ("", "") if edit.rule == "shared" else (edit.baseline_path, edit.path)
        said = [edit.op, before, after, edit.key, edit.baseline, edit.current, edit.cost]
        if inverse:
            key = " → ".join(reversed(edit.key.split(" → "))) if edit.key else edit.key
            said = [INVERSE.get(edit.op, edit.op), after, before, key]
            said += [edit.current, edit.baseline, edit.cost]
        found[json.dumps(said, sort_keys=True)] += 1
    return found


def shuffled(table: SpanTable, rng: random.Random) -> SpanTable:
    """The rows in another order."""
    return table.select(rng.sample(range(len(table)), k=len(table)))


def broken_laws(words: Words) -> list[str]:
    """The laws a case breaks, in words."""
    made = make_case(*words)
    if made is None:
        return []
    diff = compare(made.baseline, made.current)
    text = as_text(diff)
    rng = random.Random("order")
    crossed = compare(shuffled(made.baseline, rng), shuffled(made.current, rng))
    again = compare(made.current, made.baseline)
    found = []
    if described(again) != described(diff, inverse=True):
        found.append(f"not symmetric: {made.command}")
    if as_text(crossed) != text:
        found.append(f"depends on the order of spans: {made.command}")
    if compare(made.baseline, made.baseline).edits:
        found.append(f"a trace differs from itself: {made.command}")
    read = prepare(made.baseline)
    if described(compare(read, made.current)) != described(compare(read, made.current)):
        found.append(f"a baseline read once gives two answers: {made.command}")
    return found


def as_text(diff: Diff) -> str:
    """The diff as it is stored and printed."""
    return json.dumps(diff.to_json())


def digest(words: Sequence[Words]) -> str:
    """Of all diffs of some cases."""
    found = hashlib.sha256()
    for one in words:
        made = make_case(*one)
        if made is not None:
            found.update(as_text(compare(made.baseline, made.current)).encode())
    return found.hexdigest()


if __name__ == "__main__":
    print(digest(mixes(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
