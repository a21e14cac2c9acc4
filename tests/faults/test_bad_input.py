"""Everything a person can get wrong, in one project: one clear message each, and the good tests unharmed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

META = '[meta]\nname = "{name}"\nversion = "1"\n'


def clnrm(*words, cwd, **environ):
    return subprocess.run(
        [sys.executable, "-m", "clnrm_nb", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environ},
        timeout=180,
    )


def scenario(name, body):
    return META.format(name=name) + body


@pytest.fixture
def project(tmp_path):
    (tmp_path / ".clnrm").mkdir()
    return tmp_path


@pytest.fixture
def crowd(project, busybox_image):
    """Good tests among bad ones."""
    web = f'[services.web]\nimage = "{busybox_image}"\nargs = ["httpd", "-f", "-p", "8080"]\nports = ["0:8080"]\n'
    idle = f'[services.box]\nimage = "{busybox_image}"\nargs = ["sleep", "600"]\n'
    step = '[[steps]]\nname = "s"\nservice = "box"\ncommand = {command}\n'
    files = {
        "good_1": web
        + '[[steps]]\nname = "s"\ncommand = ["wget", "-q", "-O", "/dev/null", "http://web:8080/bin/sh"]\n',
        "good_2": idle + step.format(command='["true"]'),
        "missing_image": '[services.box]\nimage = "clnrm-nobody/has-this:1"\n'
        + step.format(command='["true"]'),
        "never_ready": idle.replace("[services.box]", '[services.box]\nports = ["0:81"]\ntimeout = "2s"')
        + step.format(command='["true"]'),
        "killed_for_memory": idle.replace("[services.box]", "[services.box]\nlimits = { memory_mb = 16 }")
        + step.format(command='["sh", "-c", "head -c 200m /dev/zero | tail -c 190m > /dev/null"]'),
        "hangs": idle + step.format(command='["sleep", "600"]') + 'timeout = "1s"\n',
        "floods": idle
        + step.format(command='["sh", "-c", "yes 0123456789012345678901234567890 | head -c 100m"]'),
        "unknown_service": idle + step.format(command='["true"]').replace('"box"', '"bax"'),
        "toml_error": "[services\n",
        "undefined": '[[steps]]\nname = "{{ nobody }}"\ncommand = ["true"]\n',
    }
    for name, body in files.items():
        (project / f"{name}.clnrm.toml").write_text(scenario(name, body))
    (project / "not_utf8.clnrm.toml").write_bytes(b'[meta]\nname = "\xff"\n')
    return project


EXPECTED = {
    "good_1": ("passed", None),
    "good_2": ("passed", None),
    "missing_image": ("failed", "CLN602"),
    "never_ready": ("failed", "CLN603"),
    "killed_for_memory": ("failed", "CLN605"),
    "hangs": ("failed", "CLN604"),
    "floods": ("passed", None),
    "unknown_service": ("error", "CLN401"),
    "toml_error": ("error", "CLN201"),
    "undefined": ("error", "CLN102"),
    "not_utf8": ("error", "CLN002"),
}


@pytest.mark.docker
def test_each_bad_test_gets_its_code_and_harms_no_other(crowd, engine):
    done = clnrm("run", ".", "-j", "4", "-f", "json", cwd=crowd)

    document = json.loads(done.stdout)
    tests = {
        test["name"] if test["status"] != "error" else test["id"].split(".")[0]: test
        for test in document["data"]["tests"]
    }
    found = {
        name: (
            test["status"],
            next((d["code"] for d in test["diagnostics"] if d["severity"] == "error"), None),
        )
        for name, test in tests.items()
    }
    assert found == EXPECTED
    assert done.returncode == 2
    assert len(done.stderr) < 20_000
    owners = engine.client.containers(
        all=True, filters={"label": [f"clnrm_nb.test={name}.clnrm.toml" for name in ["hangs"]]}
    )
    assert owners == []


@pytest.mark.docker
def test_a_hundred_megabytes_of_output_are_cut_and_said_to_be(crowd):
    done = clnrm("run", "floods.clnrm.toml", "-f", "json", cwd=crowd)

    (test,) = json.loads(done.stdout)["data"]["tests"]
    command = test["scenarios"][0]["commands"][0]
    assert command["truncated"] is True
    assert len(command["stdout"]) < 20 * 1024 * 1024


@pytest.mark.docker
def test_memory_is_named_as_the_cause_where_it_was(crowd):
    done = clnrm("run", "killed_for_memory.clnrm.toml", cwd=crowd)

    assert "memory" in done.stdout


def test_a_missing_file_is_one_message_and_exit_2(project):
    done = clnrm("run", "nowhere.clnrm.toml", cwd=project)

    assert done.returncode == 2
    assert "CLN001" in done.stdout + done.stderr
    assert "nowhere.clnrm.toml" in done.stdout + done.stderr


def test_an_empty_directory_is_one_message_and_exit_2(project):
    done = clnrm("run", ".", cwd=project)

    assert done.returncode == 2
    assert "CLN004" in done.stdout + done.stderr


def test_no_engine_is_exit_3_with_advice(project):
    (project / "a.clnrm.toml").write_text(scenario("a", '[[steps]]\nname = "s"\ncommand = ["true"]\n'))

    done = clnrm("run", ".", "--docker-host", "unix:///nowhere/docker.sock", cwd=project)

    assert done.returncode == 3
    assert "CLN601" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.docker
def test_an_engine_that_stops_in_mid_run_ends_the_run_with_exit_3(
    project, private_engine_tool, image_maker, tmp_path_factory
):
    import docker

    directory = tmp_path_factory.mktemp("engine")
    url = private_engine_tool.start(directory)
    try:
        client = docker.APIClient(base_url=url, version="auto")
        image = image_maker.busybox(client)
        client.close()
        (project / "a.clnrm.toml").write_text(
            scenario(
                "a",
                f'[services.box]\nimage = "{image}"\nargs = ["sleep", "600"]\n'
                '[[steps]]\nname = "s"\nservice = "box"\ncommand = ["sleep", "60"]\n',
            )
        )
        run = subprocess.Popen(
            [sys.executable, "-m", "clnrm_nb", "run", ".", "--docker-host", url, "--emit-events", "jsonl"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert any('"service.ready"' in line for line in run.stderr)
    finally:
        private_engine_tool.stop(directory)
    output, errors = run.communicate(timeout=60)

    assert run.returncode == 3, output + errors
    assert "CLN601" in output + errors
    assert "Traceback" not in output + errors


@pytest.mark.docker
def test_after_fifty_interrupted_runs_nothing_is_left(tmp_path, engine, busybox_image, tmp_path_factory):
    """Each run is interrupted at a moment of its own, from before its first object to its clean-up."""
    scratch = tmp_path_factory.mktemp("tmp")
    moments = random.Random(50)
    # By number of the event, and so at a share of the run that differs each time, and some time after it.
    interrupts = [(moments.randrange(0, 10), moments.uniform(0, 0.3)) for _ in range(50)]

    with ThreadPoolExecutor(LANES) as lanes:
        work = [
            lanes.submit(
                _interrupted_runs, tmp_path / str(lane), busybox_image, scratch, interrupts[lane::LANES]
            )
            for lane in range(LANES)
        ]
        ended = dict(pair for each in work for pair in each.result().items())

    def left():
        objects = (*engine.client.containers(all=True), *engine.client.networks())
        owned = [(each.get("Labels") or {}).get("clnrm_nb.owner", "::") for each in objects]
        return [*(owner for owner in owned if owner.split(":")[2] in ended), *scratch.iterdir()]

    # What was not gone when an interrupt had to be answered goes soon after.
    given_up_s = time.monotonic() + 60
    while left():
        assert time.monotonic() < given_up_s, left()
        time.sleep(0.05)
    # Before the first line of ours runs, Python itself dies of the signal, which shells report as 130 too.
    interrupted = {130, -signal.SIGINT}
    assert set(ended.values()) <= {0, *interrupted}
    assert sum(code in interrupted for code in ended.values()) >= 25


LANES = 4


def _interrupted_runs(project, image, scratch, interrupts):
    """Run a project of its own so often; exit codes by process id."""
    for name in ("a", "b"):
        path = project / f"{name}.clnrm.toml"
        (project / ".clnrm").mkdir(parents=True, exist_ok=True)
        path.write_text(
            scenario(
                name,
                f'[services.box]\nimage = "{image}"\nargs = ["sleep", "600"]\n'
                '[[steps]]\nname = "s"\nservice = "box"\ncommand = ["sleep", "0.3"]\n',
            )
        )
    ended = {}
    for wanted, pause_s in interrupts:
        run = subprocess.Popen(
            # By force: once two runs got as far as a verdict, every other would be over before its interrupt.
            [sys.executable, "-m", "clnrm_nb", "run", ".", "--force", "-j", "2", "--emit-events", "jsonl"],
            cwd=project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        for number, _line in enumerate(run.stderr):
            if number >= wanted:
                break
        time.sleep(pause_s)  # A moment of its own is what is tested; nothing is awaited.
        run.send_signal(signal.SIGINT)
        run.stderr.read()
        ended[str(run.pid)] = run.wait(60)
    return ended
