"""Hashes are confirmed after a run; what goes wrong there costs the evidence and never a verdict."""

import asyncio

import pytest

from clnrm_nb.api.contexts import context
from clnrm_nb.executor.outcome import TestOutcome
from clnrm_nb.pipeline import evidence as module
from clnrm_nb.pipeline.evidence import Evidences
from clnrm_nb.pipeline.inputs import Inputs
from clnrm_nb.pipeline.load import Sources, Variables, load

FILE = """
[meta]
name = "x"
version = "1"

[services.s]
image = "x:1"

[[scenario]]
name = "x"
run = ["true"]
"""


class Silent:
    """A backend with containers that knows nothing of images."""

    name, hermetic, replayed = "docker", True, False


class Engine(Silent):
    """A backend that answers as it is told."""

    def __init__(self, answer):
        self.answer = answer

    async def image_ids(self, names):
        return await self.answer(names)


async def known(names):
    return {name: f"sha256:{name}" for name in names}


async def broken(names):
    raise RuntimeError("500 from the engine")


async def hung(names):
    await asyncio.Event().wait()


@pytest.fixture
def taken(tmp_path):
    (tmp_path / ".clnrm").mkdir()
    (tmp_path / "a.clnrm.toml").write_text(FILE)
    here = context({}, start=tmp_path)
    loaded = load(Sources([tmp_path]), Variables(), project=here.project, settings=here.settings)
    tests = {test.test_id: test for test in loaded.tests}

    async def take(answer):
        def make():
            return Inputs(project=here.project, settings=here.settings, backend="docker", environ={})

        evidences = Evidences(Engine(answer) if answer else Silent(), make)
        await evidences.take(tests)
        evidences.say("a.clnrm.toml", "passed")
        return evidences, TestOutcome("a.clnrm.toml", "x")

    return take


async def test_a_test_that_ran_has_a_hash_and_makes_evidence(taken):
    evidences, outcome = await taken(known)

    await evidences.confirm([outcome])

    (attempt,) = evidences.attempts
    assert attempt.hash == outcome.hash is not None
    assert (attempt.number, attempt.status) == (1, "passed")


@pytest.mark.parametrize("answer", [broken, hung])
async def test_an_engine_that_fails_afterwards_costs_only_the_evidence(taken, answer, monkeypatch):
    monkeypatch.setattr(module, "_ENGINE_S", 0.05)
    evidences, outcome = await taken(answer)

    await evidences.confirm([outcome])

    assert (outcome.status, outcome.hash) == ("passed", None)
    assert outcome.hash_reason == "uncacheable: the engine does not say what images ran"
    assert evidences.attempts == []


async def test_a_container_backend_that_knows_no_images_gives_no_evidence(taken):
    evidences, outcome = await taken(None)

    await evidences.confirm([outcome])

    assert (outcome.hash, evidences.attempts) == (None, [])
    assert outcome.hash_reason == "uncacheable: the backend `docker` does not say what images ran"


async def test_an_interrupt_while_files_are_looked_at_again_keeps_the_verdicts(taken):
    evidences, outcome = await taken(hung)
    confirming = asyncio.ensure_future(evidences.confirm([outcome]))
    await asyncio.sleep(0)

    confirming.cancel()
    await confirming

    assert (outcome.status, outcome.hash_reason) == ("passed", "uncacheable: the run was interrupted")


async def test_an_interrupted_run_is_no_evidence(taken):
    evidences, outcome = await taken(known)

    await evidences.confirm([outcome, TestOutcome("b.clnrm.toml", "b", status="interrupted")])

    assert (outcome.hash, evidences.attempts) == (None, [])
