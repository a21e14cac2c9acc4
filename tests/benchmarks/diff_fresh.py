"""Two files loaded and compared in a process of its own, which tells its peak memory as JSON.

python tests/benchmarks/diff_fresh.py BASELINE CURRENT
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from clnrm_nb.diff import compare
from clnrm_nb.spans.loaders import load


def peak_mib() -> float:
    """Most resident memory of this process alone; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


if __name__ == "__main__":
    before, _ = load(Path(sys.argv[1]))
    after, _ = load(Path(sys.argv[2]))
    loaded, started = peak_mib(), time.process_time()
    diff = compare(before, after)
    print(
        json.dumps(
            {
                "edits": len(diff.counted),
                "compare_s": time.process_time() - started,
                "loaded_mib": loaded,
                "peak_mib": peak_mib(),
            }
        )
    )
