"""The parts of the dask backend that need no cluster: who may be reached, what travels, fences, clocks."""

import io
import json
import os
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.errors import (
    BackendUnavailableError,
    ClnrmError,
    ConfigError,
    Diagnostic,
    InternalError,
    Location,
)
from clnrm_nb.executor.backends.dask.address import checked, refuse_open
from clnrm_nb.executor.backends.dask.clock import SMALLEST_NS, Clock, moved
from clnrm_nb.executor.backends.dask.cluster import Cluster, Worker, _check_answer
from clnrm_nb.executor.backends.dask.fence import Ledger
from clnrm_nb.executor.backends.dask.files import LARGEST_BYTES, archive, extract, mounted
from clnrm_nb.executor.backends.dask.payload import (
    VERSIONS,
    Parcel,
    file_document,
    outcome_bytes,
    outcome_of,
    read_spans,
    settings_document,
    source_marker,
    write_spans,
)
from clnrm_nb.executor.outcome import CommandOutcome, ScenarioOutcome, TestOutcome
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.scenario.model import Metadata, Service, Step, TestFile, Volume
from clnrm_nb.spans.model import Event, Span
from clnrm_nb.spans.table import SpanTable

# ------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tls://10.0.0.5:8786", "wss://dask.example:443"],
)  # fmt: skip
def test_loopback_and_encrypted_schedulers_are_taken(address):
    assert checked(address) == address


def test_an_address_without_a_scheme_is_tcp():
    assert checked("127.0.0.1:8786") == "tcp://127.0.0.1:8786"


@pytest.mark.parametrize("address", ["tcp://10.0.0.5:8786", "tcp://0.0.0.0:8786", "ws://dask.example:80", "dask.example:8786", "tcp://localhost.example:1"])  # fmt: skip
def test_open_schedulers_are_refused_with_what_to_do(address):
    with pytest.raises(ConfigError, match="not on loopback and not encrypted") as stop:
        checked(address)

    assert (stop.value.code, stop.value.exit_code) == ("CLN802", 2)
    assert "tls://" in stop.value.hint


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:8786", "tcp://127.0.0.1:port", "x"])  # fmt: skip
def test_what_is_no_address_is_said_to_be_none(address):
    with pytest.raises(ConfigError, match="is no address of a scheduler"):
        checked(address)


def test_a_worker_that_others_can_reach_is_refused_too():
    with pytest.raises(ConfigError, match=r"a worker at tcp://10\.0\.0\.7:1 is not on loopback"):
        refuse_open(["tcp://127.0.0.1:1", "tcp://10.0.0.7:1"], "a worker")


# -------------------------------------------------------------------------------------------- versions


def test_a_worker_of_another_version_is_refused_with_both():
    other = {**VERSIONS, "clnrm_nb": "0.0.0"}

    with pytest.raises(BackendUnavailableError, match=r"has another version: clnrm_nb 0\.0\.0") as stop:
        _check_answer("tcp://127.0.0.1:1", {"versions": other, "now_ns": 0})

    assert (stop.value.code, stop.value.exit_code) == ("CLN601", 3)


def test_a_worker_without_the_package_is_told_what_to_install():
    with pytest.raises(BackendUnavailableError, match="has no clnrm_nb") as stop:
        _check_answer("tcp://127.0.0.1:1", ModuleNotFoundError("No module named 'clnrm_nb'"))

    assert "clnrm_nb[dask]" in stop.value.hint


# ------------------------------------------------------------------------------------ fences and needs


def test_an_attempt_is_committed_once_and_only_under_the_id_that_stands():
    ledger = Ledger()
    first = ledger.begin("t", 1)
    second = ledger.begin("t", 1)

    answers = [ledger.commit("t", 1, fence) for fence in (first, second, second, first)]

    assert answers == [False, True, False, False]
    assert ledger.late == 3


def test_attempts_and_tests_do_not_fence_each_other():
    ledger = Ledger()
    fences = {key: ledger.begin(*key) for key in (("t", 1), ("t", 2), ("u", 1))}

    assert len(set(fences.values())) == 3
    assert all(ledger.commit(*key, fence) for key, fence in fences.items())


def test_needs_are_what_workers_declare_and_no_more_than_the_largest_has():
    cluster = Cluster(None, "tcp://127.0.0.1:1")
    assert cluster.needs(containers=2, memory_mb=512) == {}

    cluster.workers = {"a": Worker("a", 4, {"containers": 4}), "b": Worker("b", 4, {"memory": 2**30})}

    assert cluster.needs(containers=2, memory_mb=512) == {"containers": 2, "memory": 2**29}
    assert cluster.needs(containers=9, memory_mb=4096) == {"containers": 4, "memory": 2**30}
    assert cluster.needs(containers=0, memory_mb=0) == {}


# ---------------------------------------------------------------------------------------------- clocks


def test_the_quickest_exchange_says_how_far_a_clock_is_ahead():
    clock = Clock()
    second = 10**9

    clock.observe(0, 70 * second, 20 * second)
    clock.observe(100 * second, 160 * second + 1_000_000, 100 * second + 2_000_000)

    assert clock.ahead_ns == 60 * second


@pytest.mark.parametrize(
    ("sent", "theirs", "received"),
    [(0, SMALLEST_NS, 0), (0, 60_000_000, 100_000_000), (0, -SMALLEST_NS, 0)],
    ids=["small", "within its uncertainty", "small and behind"],
)
def test_what_is_small_or_uncertain_is_left_alone(sent, theirs, received):
    clock = Clock()
    clock.observe(sent, theirs, received)

    assert clock.ahead_ns == 0


def test_moved_spans_keep_their_lengths_and_unknown_times():
    events = (Event("e", 15, {}), Event("f", None, {}))
    table = SpanTable(
        [Span("1" * 32, "2" * 16, "a", start_ns=10, end_ns=30, events=events), Span("1" * 32, "3" * 16, "b")]
    )

    moved(table, 7)

    assert (table.start_ns, table.end_ns) == ([3, None], [23, None])
    assert [event.time_ns for event in table.events[0]] == [8, None]


# --------------------------------------------------------------------------------------- what travels


@pytest.fixture
def planned(tmp_path):
    def plan(*services, directory=".", allow=(), **fields):
        project = Project(tmp_path, tmp_path / ".clnrm")
        settings = load_settings(
            project, overrides={"security.allow": list(allow)}, environ={"HOME": str(tmp_path)}
        )
        test = TestFile(
            file="t.clnrm.toml",
            metadata=Metadata(name="t"),
            services={service.name: service for service in services},
            steps=(Step(name="go", command=("true",), source=("steps", 0)),),
            **fields,
        )
        return make_plan(test, directory=tmp_path / directory, project=project, settings=settings)

    return plan


def box(*volumes):
    return Service(name="box", image="i:1", volumes=tuple(volumes))


def test_a_parcel_shows_nothing_of_what_is_in_it():
    parcel = Parcel.of(
        "clnrm-1", {"test": "t", "env": "swordfish"}, files=b"files", secrets={"TOKEN": "swordfish"}
    )

    assert "swordfish" not in repr(parcel) + str(parcel)
    assert parcel.opened()["test"] == "t"


def test_a_damaged_parcel_is_not_opened():
    whole = Parcel.of("clnrm-1", {"test": "t"}, files=b"files")
    damaged = replace(whole, files=b"other")

    with pytest.raises(InternalError, match="damaged"):
        damaged.opened()


def test_a_test_file_is_the_same_on_the_other_side(planned):
    plan = planned(
        box(Volume(host_path="./x", container_path="/x", source=("services", "box", "volumes", 0)))
    )
    parcel = Parcel.of("clnrm-1", {"test": "t", "file": file_document(plan.test)})

    assert TestFile.model_validate_json(json.dumps(parcel.opened()["file"])) == plan.test


def test_settings_of_a_test_travel_and_those_of_a_machine_stay(tmp_path):
    project = Project(tmp_path, tmp_path / ".clnrm")
    given = {
        "executor.step_timeout": "7s",
        "containers.default_image": "i:1",
        "executor.docker_host": "unix:///here",
    }
    settings = load_settings(project, overrides=given, environ={"HOME": str(tmp_path)})

    sent = json.loads(json.dumps(settings_document(settings)))
    read = load_settings(project, overrides=sent, environ={"HOME": str(tmp_path)})

    assert (read.executor.step_timeout_s, read.containers.default_image) == (7.0, "i:1")
    assert read.executor.docker_host == ""
    assert not [key for key in sent if "dask" in key or "host" in key]


def test_an_outcome_comes_back_as_it_was_with_its_findings_in_the_edited_file(planned):
    plan = planned()
    place = source_marker(("steps", 0))
    command = CommandOutcome("go", ["true"], None, "failed", 3, stdout="a\n", code="CLN605")
    finding = Diagnostic(
        "CLN605", "exit code 3", file=place.file, line=1, column=1, hint="look", test=plan.id
    )
    sent = TestOutcome(
        id=plan.id,
        name="t",
        status="failed",
        scenarios=[ScenarioOutcome("steps", "failed", commands=[command])],
        diagnostics=[finding, Diagnostic("CLN614", "1 orphan")],
        leftovers=[("container", "c")],
        images=["i:1"],
        spans=SpanTable(),
    )
    located = make_located(plan, {("steps", 0): Location("t.clnrm.toml.tera", 12, 1)})

    came = outcome_of(outcome_bytes(sent), located)

    assert (came.status, came.leftovers, came.images) == ("failed", [("container", "c")], ["i:1"])
    assert came.scenarios == sent.scenarios
    assert [(each.file, each.line, each.hint) for each in came.diagnostics] == [
        ("t.clnrm.toml.tera", 12, "look"),
        (None, None, None),
    ]


def make_located(plan, places):
    return replace(plan, locate=places.get)


def test_spans_come_back_with_owners_and_own_marks():
    table = SpanTable()
    table.append(Span("1" * 32, "2" * 16, "a", start_ns=10, end_ns=30, attributes={"n": 1}), "one")
    table.append(Span("1" * 32, "3" * 16, "clnrm.test", start_ns=5, end_ns=40, own=True))

    came = read_spans(write_spans(table))

    assert {came.name[row]: (came.scenario[row], came.own[row]) for row in range(2)} == {
        "a": ("one", False),
        "clnrm.test": (None, True),
    }
    assert len(read_spans(write_spans(SpanTable()))) == 0


# ----------------------------------------------------------------------------------------------- files


def test_mounts_lead_to_the_same_files_below_the_workers_copy(planned, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("hello")
    relative = Volume(host_path="../data", container_path="/one", read_only=True)
    absolute = Volume(host_path=str(tmp_path / "data" / "a"), container_path="/two", read_only=True)

    found = mounted(planned(box(relative, absolute), directory="tests"), by_process=False)
    there = tmp_path / "there"
    extract(archive(found.sources), there, keeps_modes=True)

    paths = [volume.host_path for volume in found.test.services["box"].volumes]
    (there / "tests").mkdir()
    assert [(there / "tests" / path).resolve() for path in paths] == [there / "data", there / "data" / "a"]
    assert (there / "data" / "a").read_text() == "hello"
    assert found.findings == []


def test_a_place_that_all_share_is_not_sent(planned, tmp_path):
    (tmp_path / "big").mkdir()
    plan = planned(box(Volume(host_path="./big", container_path="/big")), allow=[f"mount:{tmp_path / 'big'}"])

    found = mounted(plan, by_process=False)

    assert (found.sources, found.findings) == ({}, [])
    assert found.test.services["box"].volumes[0].host_path == str(tmp_path / "big")


def test_what_lies_outside_the_project_is_left_for_the_worker_to_refuse(planned, tmp_path):
    found = mounted(planned(box(Volume(host_path="/etc", container_path="/x"))), by_process=False)

    assert found.sources == {}
    assert found.test.services["box"].volumes[0].host_path == str(Path("/etc").resolve())


def test_a_link_out_of_the_project_is_outside_it(planned, tmp_path):
    (tmp_path / "link").symlink_to("/etc")

    assert (
        mounted(planned(box(Volume(host_path="./link", container_path="/x"))), by_process=False).sources == {}
    )


def test_a_mount_that_is_written_to_says_that_it_stays_there(planned, tmp_path):
    (tmp_path / "data").mkdir()

    found = mounted(planned(box(Volume(host_path="./data", container_path="/x"))), by_process=False)

    assert [(each.code, each.severity) for each in found.findings] == [("CLN611", "info")]


def test_a_mount_that_is_not_there_and_an_unset_variable_are_said_before_anything_is_sent(planned):
    for path, code in (("./nowhere", "CLN001"), ("${CLNRM_NEVER_SET}/x", "CLN106")):
        with pytest.raises(ClnrmError) as stop:
            mounted(planned(box(Volume(host_path=path, container_path="/x"))), by_process=False)

        assert stop.value.code == code


def test_modes_links_and_empty_directories_travel_and_pipes_do_not(tmp_path):
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o751)
    (source / "link").symlink_to("run")
    os.mkfifo(source / "pipe")

    extract(archive({"s": source}), tmp_path / "there", keeps_modes=True)

    there = tmp_path / "there" / "s"
    assert sorted(path.name for path in there.iterdir()) == ["empty", "link", "run"]
    assert ((there / "run").stat().st_mode & 0o777, str((there / "link").readlink())) == (0o751, "run")


def test_too_much_is_refused_with_the_way_out(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)

    with pytest.raises(ClnrmError, match="more than 32 MiB") as stop:
        archive({"large": tmp_path / "large"})

    assert (stop.value.code, "--allow mount:" in stop.value.hint) == ("CLN616", True)


def test_the_directory_of_the_file_is_sent_where_a_process_reads_it(planned, tmp_path):
    plan = planned()
    reading = make_reading(plan)

    assert mounted(plan, by_process=True).sources == {}
    assert mounted(reading, by_process=True).sources == {".": tmp_path}
    assert mounted(reading, by_process=False).sources == {}


def make_reading(plan):
    step = Step(name="go", command=("sh", "-c", "cat $CLNRM_TEST_DIR/x"))
    return replace(plan, test=plan.test.model_copy(update={"steps": (step,)}))


def test_events_say_when_in_the_time_of_this_machine():
    from clnrm_nb.executor.backends.dask.pulse import Errand

    shown = []

    class Context:
        def emit(self, event, **fields):
            shown.append((event, fields["at"], fields["test"]))

    errand = Errand(None, Context(), "clnrm-1")
    errand.show([{"event": "step.end", "at": "2026-01-01T00:00:01Z", "run": "r", "test": "t"}], 1_000_000_000)

    assert shown == [("step.end", datetime(2026, 1, 1, tzinfo=UTC), "t")]
    assert errand.n_events == 1


def test_what_comes_back_from_a_worker_stays_below_its_directory(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as out:
        out.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())

    with pytest.raises(tarfile.TarError):
        extract(packed.getvalue(), tmp_path / "there", keeps_modes=False)

    assert not (tmp_path / "escaped").exists()
