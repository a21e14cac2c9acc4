"""A worker's side without a cluster: what a start answers, and that nothing runs for nobody."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends.dask import station as module
from clnrm_nb.executor.backends.dask.payload import (
    VERSIONS,
    Parcel,
    file_document,
    outcome_of,
    settings_document,
)
from clnrm_nb.executor.backends.dask.station import Station
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.scenario.model import Metadata, Secrets, Step, TestFile


@pytest.fixture
async def station():
    made = Station()
    yield made
    await made.close()


@pytest.fixture
def parcel(tmp_path):
    def make(script, *, fence="clnrm-1", secrets=None):
        project = Project(tmp_path, tmp_path / ".clnrm")
        settings = load_settings(project, environ={"HOME": str(tmp_path)})
        test = TestFile(
            file="t.clnrm.toml",
            metadata=Metadata(name="t"),
            steps=(Step(name="go", command=("sh", "-c", script)),),
            secrets=Secrets(env=tuple(secrets or {})),
        )
        plan = make_plan(test, directory=tmp_path, project=project, settings=settings)
        document = {
            "run": "R1",
            "test": plan.id,
            "attempt": 1,
            "label": f"1/{fence}",
            "file": file_document(test),
            "directory": ".",
            "settings": settings_document(settings),
            "inner": "process",
            "hash": None,
            "run_span": {"trace_id": "1" * 32, "span_id": "2" * 16},
        }
        return Parcel.of(fence, document, secrets=secrets), plan

    return make


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # A file of another process makes no event here.
            await asyncio.sleep(0.01)


async def test_a_test_is_run_and_its_copy_of_the_project_is_gone(station, parcel, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    sent, plan = parcel("echo hello")

    reply = await station.perform(sent, "tcp://w", str(place))

    outcome = outcome_of(reply.outcome, plan)
    assert (reply.kind, outcome.status, outcome.backend) == ("done", "passed", "process")
    assert outcome.scenarios[0].commands[0].stdout == "hello\n"
    assert b"clnrm.test" in reply.spans
    assert list(place.iterdir()) == []


async def test_a_parcel_of_another_version_runs_nothing(station, parcel, tmp_path):
    sent, _ = parcel(f"touch {tmp_path}/ran")
    document = {**sent.opened(), "versions": {**VERSIONS, "payload": 99}}
    other = Parcel.of("clnrm-2", document)

    reply = await station.perform(other, "tcp://w", str(tmp_path))

    (finding,) = reply.diagnostics()
    assert (reply.kind, finding.code) == ("refused", "CLN601")
    assert "payload 99" in finding.message
    assert not (tmp_path / "ran").exists()


async def test_a_damaged_parcel_runs_nothing(station, parcel, tmp_path):
    sent, _ = parcel(f"touch {tmp_path}/ran")

    reply = await station.perform(replace(sent, digest="0"), "tcp://w", str(tmp_path))

    assert (reply.kind, reply.diagnostics()[0].code) == ("refused", "CLN901")
    assert not (tmp_path / "ran").exists()


async def test_a_test_called_back_is_interrupted_and_answers_the_caller(station, parcel, tmp_path):
    sent, plan = parcel(f"touch {tmp_path}/up; sleep 60")
    running = asyncio.ensure_future(station.perform(sent, "tcp://w", str(tmp_path)))
    await until((tmp_path / "up").exists)

    is_here = await station.recall(sent.fence)
    reply = await running

    assert (is_here, reply.kind, outcome_of(reply.outcome, plan).status) == (True, "done", "interrupted")


async def test_a_test_called_back_before_it_came_never_starts(station, parcel, tmp_path):
    sent, _ = parcel(f"touch {tmp_path}/ran")

    assert await station.recall(sent.fence) is False
    reply = await station.perform(sent, "tcp://w", str(tmp_path))

    assert reply.kind == "nothing"
    assert not (tmp_path / "ran").exists()


async def test_a_test_whose_run_is_not_heard_of_any_more_is_stopped(station, parcel, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ABANDONED_S", 0.3)
    sent, _ = parcel("sleep 60")

    async with asyncio.timeout(60):
        reply = await station.perform(sent, "tcp://w", str(tmp_path))

    assert reply.kind == "abandoned"


async def test_a_test_that_is_asked_after_is_not_stopped_and_tells_each_thing_once(
    station, parcel, tmp_path, monkeypatch
):
    # Longer than a busy machine keeps a question waiting, shorter than the test.
    monkeypatch.setattr(module, "ABANDONED_S", 2.5)
    sent, _ = parcel(f"sleep 3; touch {tmp_path}/end")
    running = asyncio.ensure_future(station.perform(sent, "tcp://w", str(tmp_path)))
    heard, rows = [], 0
    while not running.done():
        news = (await station.report({sent.fence: (len(heard), rows)}))["tests"].get(sent.fence)
        if news:
            heard += news["events"]
        await asyncio.sleep(0.05)

    reply = await running
    assert (reply.kind, (tmp_path / "end").exists()) == ("done", True)
    assert list(reply.events)[: len(heard)] == heard


async def test_spans_that_leave_early_hold_no_secret(station, parcel, tmp_path):
    span = '{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"says-TOKEN","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}'
    script = f"""echo '{span}' | sed "s/TOKEN/$TOKEN/" > {tmp_path}/body
wget -q -O- --header 'Content-Type: application/json' --post-file {tmp_path}/body "$OTEL_EXPORTER_OTLP_ENDPOINT/v1/traces" > {tmp_path}/posted
sleep 60"""
    sent, _ = parcel(script, secrets={"TOKEN": "swordfish"})
    running = asyncio.ensure_future(station.perform(sent, "tcp://w", str(tmp_path)))
    news = []

    async def asked():
        answer = (await station.report({sent.fence: (0, 0)}))["tests"].get(sent.fence, {})
        news.append(answer.get("spans", b""))
        return b"says-" in news[-1]

    async with asyncio.timeout(60):
        while not await asked():  # noqa: ASYNC110  # The station is asked, as a client does.
            await asyncio.sleep(0.02)
    await station.recall(sent.fence)
    await running

    assert b"swordfish" not in news[-1]
    assert "says-•••" in orjson.dumps(orjson.loads(news[-1])).decode()
