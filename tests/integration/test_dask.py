"""The dask backend on real clusters: schedulers and workers as processes, two engines as two machines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clnrm_nb
from clnrm_nb.errors import BackendUnavailableError, ConfigError
from clnrm_nb.executor.backends.dask.backend import MOST_STARTS
from clnrm_nb.reaper.ownership import Owner

CLNRM = (sys.executable, "-m", "clnrm_nb")


def until(condition, within_s=60.0):
    deadline_s = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)
    return found


def step(script, name="go", **keys):
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"[[steps]]\nname = {json.dumps(name)}\ncommand = ['sh', '-c', '''{script}''']\n{more}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write a project, `project({name: text}, inner=…, image=…)`, and stand in it."""

    def make(tests, *, inner="process", image=None):
        user = tmp_path / "user" / "cleanroom"
        user.mkdir(parents=True)
        lines = ["[executor.dask]", f'inner = "{inner}"']
        if image:
            lines += ["[containers]", f'default_image = "{image}"', 'pull_policy = "never"']
        (user / "cleanroom.toml").write_text("\n".join(lines))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(user.parent))
        root = tmp_path / "project"
        (root / ".clnrm").mkdir(parents=True)
        for name, text in tests.items():
            (root / f"{name}.clnrm.toml").write_text(f'[meta]\nname = "{name}"\nversion = "1"\n{text}')
        monkeypatch.chdir(root)
        return root

    return make


@pytest.fixture(scope="module")
def processes(dask_cluster):
    """A cluster of two workers without an engine."""
    with dask_cluster("processes") as cluster:
        cluster.worker()
        cluster.worker()
        yield cluster.ready()


def codes(test):
    return [finding.code for finding in test.diagnostics if finding.severity != "info"]


def workers_of(directory):
    """Addresses of the workers that ran the tests of a project, by test."""
    found = {}
    for file in (directory / ".clnrm" / "artifacts").glob("*/recording.json"):
        text = file.read_text()
        if '"clnrm.dask.worker"' in text:
            found[file.parent.name] = text.split('"clnrm.dask.worker","value":{"stringValue":"', 1)[1].split(
                '"'
            )[0]
    return found


# ------------------------------------------------------------------------------------------- two machines


@pytest.fixture(scope="module")
def machines(dask_cluster, two_engines, busybox_image):
    """A cluster of two workers, each with an engine of its own."""
    with dask_cluster("machines") as cluster:
        for each in two_engines:
            cluster.worker("--resources", "containers=2", n_threads=4, docker_host=each.url)
        yield cluster.ready(), [each.client for each in two_engines], busybox_image


def of_tests(client):
    return client.containers(all=True, filters={"label": "clnrm_nb.test"})


@pytest.mark.docker
def test_command_spreads_tests_over_two_engines_and_leaves_nothing_in_either(machines, project):
    cluster, clients, image = machines
    tests = {f"t{number}": step("echo hello; sleep 1", expected_output_regex="hello") for number in range(4)}
    directory = project(tests, inner="docker", image=image)

    words = ["run", "--scheduler", cluster.address, "--report-json", "report.json", "."]
    done = subprocess.run([*CLNRM, *words], capture_output=True, text=True, check=False, timeout=120)

    report = json.loads((directory / "report.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert {(test["status"], test["backend"], test["hermetic"]) for test in report["data"]["tests"]} == {
        ("passed", "docker", True)
    }
    assert len(set(workers_of(directory).values())) == 2
    assert [of_tests(client) for client in clients] == [[], []]


@pytest.mark.docker
def test_a_worker_killed_in_mid_test_is_replaced_and_its_containers_go(machines, project, tmp_path):
    cluster, clients, image = machines
    shared = tmp_path / "shared"
    shared.mkdir()
    service = f"""[services.box]\nimage = '{image}'\nargs = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]\nvolumes = ['{shared}:/shared']\n"""
    tests = {"t": service + step("echo started >> /shared/starts; sleep 2", service="box")}
    project(tests, inner="docker", image=image)
    run = clnrm_nb.run(".", scheduler=cluster.address, allow=[f"mount:{shared}"], detach=True)
    until((shared / "starts").exists)
    (killed,) = [each for client in clients for each in of_tests(client)]
    owner = Owner.parse(killed["Labels"]["clnrm_nb.owner"])

    os.kill(owner.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    result = run.wait(60)
    until(lambda: not [each for client in clients for each in of_tests(client)])

    (test,) = result.outcomes
    assert (test.status, codes(test)) == ("passed", []), result
    assert (shared / "starts").read_text() == "started\n" * 2
    assert killed["Labels"]["clnrm_nb.attempt"].startswith("1/clnrm-")
    assert time.monotonic() - killed_s < 60


# ------------------------------------------------------------------------------------- what can go wrong


def test_a_test_that_kills_its_worker_is_an_error_and_does_not_kill_them_all(processes, project, tmp_path):
    starts = tmp_path / "starts"
    tests = {"bad": step(f"echo up >> {starts}; kill -9 $PPID; sleep 5"), "good": step("echo fine")}
    project(tests)

    result = clnrm_nb.run(".", scheduler=processes.address)

    bad, good = result.outcomes
    assert (bad.status, codes(bad), good.status) == ("error", ["CLN601"], "passed")
    assert starts.read_text() == "up\n" * MOST_STARTS


def test_spans_and_events_are_seen_while_the_test_runs_elsewhere(processes, project, tmp_path):
    span = '{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"early","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}'
    go_on = tmp_path / "go-on"
    tests = {
        "t": step(f"echo '{span}'", "first") + step(f"while ! test -e {go_on}; do sleep 0.05; done", "second")
    }
    project(tests)

    run = clnrm_nb.run(".", scheduler=processes.address, detach=True)
    until(
        lambda: "early" in list(run.frame["name"]) and any(event.event == "step.end" for event in run.events)
    )
    seen_while = run.status
    go_on.touch()
    result = run.wait(30)

    names = [event.event for event in run.events]
    assert (seen_while, result.ok) == ("running", True)
    assert names.count("step.end") == 2
    assert names.index("step.end") < names.index("scenario.end") < names.index("test.end")
    assert list(result.spans.frame["name"]).count("early") == 1


def test_a_worker_that_is_shut_down_leaves_its_test_to_another(dask_cluster, project, tmp_path):
    starts = tmp_path / "starts"
    project({"t": step(f"echo $PPID >> {starts}; sleep 3")})
    with dask_cluster("retired") as cluster:
        cluster.worker()
        cluster.worker()
        cluster.ready()
        run = clnrm_nb.run(".", scheduler=cluster.address, detach=True)
        (worker,) = until(lambda: starts.exists() and starts.read_text().split())

        os.kill(parent_of(worker), signal.SIGTERM)
        result = run.wait(60)

    (test,) = result.outcomes
    assert (test.status, codes(test)) == ("passed", []), result
    assert len(set(starts.read_text().split())) == 2


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(word):
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (entry / "cmdline").read_bytes():
                yield entry.name


def test_a_scheduler_that_dies_makes_an_error_and_no_false_verdict(dask_cluster, project, tmp_path):
    up, held = tmp_path / "up", f"977.{os.getpid()}"
    project({"t": step(f"touch {up}; sleep {held}")})
    with dask_cluster("mortal") as cluster:
        cluster.worker()
        cluster.ready()
        run = clnrm_nb.run(".", scheduler=cluster.address, detach=True)
        until(up.exists)

        cluster.scheduler.kill()
        result = run.wait(60)
        until(lambda: not list(alive(held)))

    (test,) = result.outcomes
    assert (test.status, codes(test)) == ("error", ["CLN601"])


def test_files_that_a_test_mounts_are_sent_with_it(processes, project):
    root = project({"t": "[services.box]\nimage = 'ignored:1'\nvolumes = ['./data:/data:ro']\n"
                    + step("cat /data/deep/greeting; /data/run", service="box")})  # fmt: skip
    (root / "data" / "deep").mkdir(parents=True)
    (root / "data" / "deep" / "greeting").write_text("hello\n")
    program = root / "data" / "run"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)

    result = clnrm_nb.run(".", scheduler=processes.address)

    (test,) = result.outcomes
    assert test.scenarios[0].commands[0].stdout == "hello\nran\n", result


def test_secrets_show_in_no_log_of_the_cluster(processes, project, monkeypatch):
    monkeypatch.setenv("DASK_TOKEN", "swordfish-0815")
    project(
        {
            "t": "[secrets]\nenv = ['DASK_TOKEN']\n"
            + step('test "$DASK_TOKEN" = swordfish-0815; echo $DASK_TOKEN')
        }
    )

    result = clnrm_nb.run(".", scheduler=processes.address)

    assert result.ok, result
    assert "swordfish-0815" not in processes.logs()


# ------------------------------------------------------------------------------------- who may be reached


def test_an_open_scheduler_is_refused_by_the_command_with_status_2(project):
    project({"t": step("echo hi")})

    words = ["run", "--scheduler", "tcp://192.0.2.1:8786", "."]
    done = subprocess.run([*CLNRM, *words], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 2
    assert "CLN802" in done.stderr
    assert "not on loopback and not encrypted" in done.stderr


def test_no_scheduler_there_is_said_at_once(project):
    project({"t": step("echo hi")})

    with pytest.raises(BackendUnavailableError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1"):
        clnrm_nb.run(".", scheduler="127.0.0.1:1")


def test_a_cluster_with_tls_is_used_with_its_certificates_and_refused_without(
    dask_cluster, project, tmp_path, monkeypatch
):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*words.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(certificate)}
    for part in ("CLIENT", "SCHEDULER", "WORKER"):
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{part}__CERT"] = str(certificate)
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{part}__KEY"] = str(key)
    project({"t": step("echo hi")})
    with dask_cluster("tls", environ=tls, host="tls://127.0.0.1") as cluster:
        cluster.worker()
        cluster.ready()
        words = ["run", "--scheduler", cluster.address, "."]
        with_them, without = (
            subprocess.run(
                [*CLNRM, *words],
                env={**os.environ, **environ},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            for environ in (tls, {})
        )

    assert cluster.address.startswith("tls://")
    assert (with_them.returncode, without.returncode) == (0, 3), with_them.stderr
    assert "CLN601" in without.stderr


def test_without_an_address_the_key_and_the_flag_are_named(project):
    project({"t": step("echo hi")})

    with pytest.raises(ConfigError, match="needs the address of a scheduler") as stop:
        clnrm_nb.run(".", backend="dask")

    assert "--scheduler" in stop.value.hint


def test_without_the_extra_it_is_named(project, monkeypatch):
    project({"t": step("echo hi")})
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(BackendUnavailableError, match="needs a package that is not installed") as stop:
        clnrm_nb.run(".", scheduler="127.0.0.1:8786")

    assert "clnrm_nb[dask]" in stop.value.hint
