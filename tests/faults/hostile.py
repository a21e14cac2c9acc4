"""Runs templates one by one, each in a process of its own that is measured; a program, not a test.

In: one JSON object a line, ``{"id", "template", "root"}``. Out: one a line, ``{"id", "codes", "cpu_s", "peak_mb",
"escaped"}``; ``escaped`` says how a process ended that should not have ended that way.

The process forks for each template, so that the time is that of the template and not of importing Python modules.
Memory is the whole of the process, interpreter included.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from clnrm_nb.template import TemplateRequest, combinations, render
from clnrm_nb.validation import check

SECONDS_BEFORE_KILLED = 20
VARIABLES = {
    "big": "b" * 1_000_000,
    "kilobyte": "k" * 1024,
    "a3000": "a" * 3000 + "!",
    "marks": "\u0301" * 300_000,
    "less": "<" * 100_000,
    "comments": "<!-- >" * 30_000 + "\n-->",
}
"""What the templates find there, besides their own means."""


def codes_of(task: dict[str, Any]) -> list[str]:
    """Codes of all findings of the one template, through the whole of validation."""
    root = Path(task["root"])
    file = "main.clnrm.toml.tera"
    request = TemplateRequest(
        root / file, file, root, text=task["template"], variables=VARIABLES, environ={"A": "1"}
    )
    chosen, findings = combinations(request)
    for _ in chosen[:1]:
        findings += check(render(request)).diagnostics
    return sorted({finding.code for finding in findings if finding.severity == "error"})


def measured(task: dict[str, Any]) -> dict[str, Any]:
    """Fork, run, wait; what the child said and what it used."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS_BEFORE_KILLED)
        try:
            answer = {"codes": codes_of(task), "escaped": None}
        except BaseException:  # noqa: BLE001 - that something was raised is what is looked for
            answer = {"codes": [], "escaped": traceback.format_exc()[-2000:]}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(child, 0)
    answer = json.loads(said) if said else {"codes": [], "escaped": f"ended with status {status}"}
    used = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}
    return {"id": task["id"], **answer, **used}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(measured(json.loads(line))), flush=True)
