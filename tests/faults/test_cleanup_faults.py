"""A run that is killed, interrupted or stopped, at any moment: nothing is left, and the next one works."""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time

import pytest

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

EXIT_INTERRUPTED = 130


@pytest.fixture
def start(victims, engine, busybox_image, tmp_path):
    """Start runs; whatever a test leaves running is killed."""
    runs = []

    def begin(text, *options, tests=1, **how):
        project = victims.lay_down(tmp_path / f"p{len(runs)}", text, tests=tests, image=busybox_image)
        runs.append(victims.Run(project, *options, engine=engine, **how))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
        run.end()


def await_engine(run, engine, action):
    """Wait for what the engine says of a container of this run."""
    wanted = {"label": f"clnrm_nb.owner={run.owner}", "event": action}
    for _ in engine.client.events(since=int(time.time()) - 5, filters=wanted, decode=True):
        return


# ---------------------------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize("moment", ["test.start", "create", "start", "scenario.end", "die", "destroy"])
def test_a_run_killed_at_any_step_of_a_test_leaves_nothing(start, victims, engine, moment):
    run = start(victims.QUICK, "--repeat", "50", "--workers", "2", tests=2)
    if "." in moment:
        run.until(moment)
    else:
        await_engine(run, engine, moment)

    run.process.kill()

    run.end()
    run.remains.until_gone()


def killed_at_random(start, victims, count):
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(count):
        run = start(victims.QUICK, "--repeat", "50", "--workers", "2", tests=2)
        run.until("test.start")
        time.sleep(moments.uniform(0, 3))
        run.process.kill()
        run.end()
        run.remains.until_gone()


def test_runs_killed_at_random_moments_leave_nothing_and_the_next_one_works(start, victims):
    killed_at_random(start, victims, 1)

    following = start(victims.QUICK)

    assert following.end() == 0, following.output
    following.remains.until_gone()


@pytest.mark.bench_full
def test_bench_full_30_runs_killed_at_random_moments_leave_nothing(start, victims):
    killed_at_random(start, victims, 30)


def test_a_killed_run_on_the_process_backend_leaves_no_process_and_no_directory(start, victims):
    text = victims.WAITING.replace("sleep 1000", "setsid sleep 1000 & env -i sleep 1000 & exec sleep 1000")
    run = start(text, "--backend", "process", "--workers", "3", tests=3)
    run.until_processes(6)
    assert len(run.remains.scratch()) == 6  # Each with the link that says whose it is.

    run.process.kill()

    run.end()
    run.remains.until_gone()


# -------------------------------------------------------------------------------------------- interrupts


@pytest.mark.parametrize(
    ("number", "backend"),
    [(signal.SIGINT, "docker"), (signal.SIGTERM, "process"), (signal.SIGHUP, "process")],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_an_interrupted_run_cleans_up_reports_and_exits_with_130(start, victims, engine, number, backend):
    options = ("--workers", "2", "--backend", backend, "--report-json", "report.json")
    run = start(victims.WAITING, *options, tests=3)
    if backend == "docker":
        run.until_running(engine, 2)
    else:
        run.until_processes(2)

    run.process.send_signal(number)

    assert run.end() == EXIT_INTERRUPTED
    run.remains.until_gone()
    assert "2 interrupted" in run.output
    assert "1 skipped" in run.output
    assert '"interrupted":2' in run.file("report.json").replace(" ", "")


@pytest.fixture
def gate(victims, engine):
    # Short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="clnrm-g-") as directory:
        made = victims.Gate(directory, engine.url)
        yield made
        made.end()


def test_a_second_interrupt_exits_at_once_and_the_reaper_goes_on(start, victims, engine, gate):
    run = start(victims.WAITING, "--workers", "2", "--docker-host", gate.url, tests=2, is_patient=True)
    run.until_running(engine, 2)

    gate.stop()
    run.process.send_signal(signal.SIGINT)
    run.until("interrupt.heard")
    begun_s = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    exit_code = run.end()
    took_s = time.monotonic() - begun_s
    gate.go_on()

    assert exit_code == EXIT_INTERRUPTED
    assert took_s < 10  # The first one would have waited for a minute.
    run.remains.until_gone()


def test_an_engine_that_hangs_does_not_hold_up_an_interrupt(start, victims, engine, gate):
    run = start(victims.WAITING, "--workers", "2", "--docker-host", gate.url, tests=2)
    run.until_running(engine, 2)

    gate.stop()
    run.process.send_signal(signal.SIGINT)
    exit_code = run.end()
    gate.go_on()

    assert exit_code == EXIT_INTERRUPTED
    assert "2 interrupted" in run.output
    run.remains.until_gone()


def test_a_run_that_stood_still_for_seconds_goes_on_and_passes(start, victims):
    run = start(victims.QUICK.replace('["true"]', '["sleep", "1"]'), "--workers", "2", tests=2)
    run.until("service.ready")

    run.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    run.process.send_signal(signal.SIGCONT)

    assert run.end() == 0, run.output
    run.remains.until_gone()


def test_a_killed_notebooks_command_leaves_neither_worker_nor_kernel(victims, tmp_path):
    import nbformat

    (tmp_path / ".clnrm").mkdir()
    (tmp_path / "tmp").mkdir()
    cells = [nbformat.v4.new_code_cell("import time; time.sleep(1000)")]
    kernel = {"name": "python3", "display_name": "python3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "waits.ipynb")
    run = victims.Run(tmp_path, command=("notebooks", "waits.ipynb"))
    run.until_processes(2)  # The worker, and its kernel.

    run.process.kill()

    run.end()
    run.remains.until_gone()
