"""Opt in to what Binder can do: ``auto``, an engine if one answers, else recordings of the examples.

Docker does not run inside Binder. The person's own configuration is the place to say so; a project's would
hold for everybody who clones it. A banner says what that came to.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib import resources
from pathlib import Path

from clnrm_nb import examples

CONFIGURATION = """\
# Written by binder/configure.py.
[executor]
backend = "auto"
replay = {recordings}
# A recording proves nothing about isolation; reports keep naming what was not evaluated.
allow_not_evaluated = true
"""


def main() -> None:
    """Write the recordings, the configuration that names them, and the banner."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "cleanroom"
    config.mkdir(parents=True, exist_ok=True)
    recordings = config / "recordings.json"
    recordings.write_text(json.dumps(_recordings()), encoding="utf-8")
    text = CONFIGURATION.format(recordings=json.dumps(str(recordings)))
    (config / "cleanroom.toml").write_text(text, encoding="utf-8")
    startup = Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython") / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("banner.py"), startup / "00-clnrm-banner.py")


def _recordings() -> dict[str, object]:
    """One file of all examples: tests are found in it by their file names, wherever they are laid down."""
    tests: list[object] = []
    for name in examples.NAMES:
        file = resources.files("clnrm_nb.examples") / name / "recording.json"
        recording = json.loads(file.read_text(encoding="utf-8"))
        tests += recording["tests"]
    return {"format": recording["format"], "tests": tests}


if __name__ == "__main__":
    main()
