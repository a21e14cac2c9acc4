from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clnrm_nb.template import TemplateRequest, render
from clnrm_nb.validation import Checked, check


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Checked]:
    """Validate the text of a scenario file, with some environment."""

    def of(text: str, **environ: str) -> Checked:
        path = tmp_path / "made.clnrm.toml"
        request = TemplateRequest(
            path=path, file=path.name, project_root=tmp_path, text=text, environ=environ
        )
        return check(render(request))

    return of
