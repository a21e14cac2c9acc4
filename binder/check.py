"""The last step of postBuild: whether the tour would run for whoever opens the link now."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

TOUR = Path(__file__).resolve().parents[1] / "notebooks" / "00-tour.ipynb"


def main() -> int:
    """Execute the tour where it finds nothing but the installed package."""
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        copy = Path(scratch) / TOUR.name
        copy.write_bytes(TOUR.read_bytes())
        from clnrm_nb import api

        # Imports from the checkout would hide a wheel that lacks files.
        assert "site-packages" in str(api.__file__), api.__file__
        result = api.notebooks(copy, timeout="5m")
        sys.stdout.write(f"{result}\n")
        return int(result.exit_code)


if __name__ == "__main__":
    sys.exit(main())
