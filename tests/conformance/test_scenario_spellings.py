"""Every spelling means one canonical test: ``scenario_spellings.toml`` has the pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli

from clnrm_nb.scenario import build, parse
from clnrm_nb.template import TemplateRequest, render

BASE = '[meta]\nname = "t"\nversion = "1"\n[[steps]]\nname = "s"\ncommand = "true"\n'
PAIRS = tomli.loads(Path(__file__).with_name("scenario_spellings.toml").read_text("utf-8"))["pair"]


def _meaning(text):
    """The data of the test, without where it was written."""
    request = TemplateRequest(
        path=Path("a.clnrm.toml"), file="a.clnrm.toml", project_root=Path(), text=text, no_template=True
    )
    test, diagnostics = build(parse(render(request)), file="a.clnrm.toml", matrix={})
    assert test is not None, [str(finding) for finding in diagnostics]
    data = test.model_dump()
    waiting = [data]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            here.pop("source", None)
            here.pop("written", None)
            waiting.extend(here.values())
        elif isinstance(here, list | tuple):
            waiting.extend(here)
    return data


@pytest.mark.parametrize("pair", PAIRS, ids=[pair["name"] for pair in PAIRS])
def test_two_spellings_mean_the_same_test(pair):
    base = "" if pair.get("whole") else BASE

    assert _meaning(base + pair["older"]) == _meaning(base + pair["canonical"])
