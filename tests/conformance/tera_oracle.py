"""The real Tera in a process of its own: a few templates make it abort, and then only that process is gone.

Run as a program it is that process: one JSON object with ``folder``, ``template`` and ``context`` a line in, one
with the ``text`` (null if Tera refuses) a line out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Tera:
    """Renders by ``pytera``, starting its process again where a template has ended it."""

    def __init__(self, folder: Path, context: dict[str, Any]) -> None:
        self.folder = folder
        self.context = context
        self.process: subprocess.Popen[str] | None = None

    def render(self, template: str) -> str | None:
        """The text; None where Tera refuses the template or dies of it."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        assert self.process.stdin
        assert self.process.stdout
        task = {"folder": str(self.folder), "template": template, "context": self.context}
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.close()
            return None
        text: str | None = json.loads(answer)["text"]
        return text

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def _serve() -> None:
    from pytera import PyTera

    for line in sys.stdin:
        task = json.loads(line)
        folder = Path(task["folder"])
        (folder / "main.tera").write_bytes(task["template"].encode())
        try:
            text = PyTera(f"{folder}/*.tera").render_template("main.tera", **task["context"])
        except Exception:  # noqa: BLE001 - whatever it is, Tera does not render this
            text = None
        print(json.dumps({"text": text}), flush=True)


if __name__ == "__main__":
    _serve()
