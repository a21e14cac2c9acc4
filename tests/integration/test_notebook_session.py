"""Real kernels: what a run leaves in the page and in the kernel, with a person in front of it and without."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from time import monotonic

import pytest
from jupyter_client.manager import KernelManager

RESULT = "application/vnd.clnrm.result.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
GREEN = "green.clnrm.toml.tera"
SLOW = """
[meta]
name = "slow"
version = "1"
[otel]
exporter = "stdout"
"""
SPAN = (
    '{{"name": "span {n}", "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "{n:016x}", '
    '"start_time_unix_nano": {n}, "end_time_unix_nano": {end}}}'
)
EXPLORE = "from clnrm_nb.notebook import explore; explore(r)"
COUNT = "from ipywidgets.widgets.widget import _instances as live_models; print('models', len(live_models))"


class Kernel:
    """A kernel in a directory of its own."""

    def __init__(self, directory, environ) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(directory), env=environ)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        # What came while a cell ran and belongs to an earlier one.
        self.late = []

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def run(self, code, *, person=True, timeout_s=60, on_message=None):
        """Execute a cell; all messages it caused."""
        request = self._client.execute(code, allow_stdin=person)
        messages = []
        end = monotonic() + timeout_s
        while monotonic() < end:
            message = self._client.get_iopub_msg(timeout=timeout_s)
            if message["parent_header"].get("msg_id") != request:
                self.late.append(message)
                continue
            messages.append(message)
            if on_message:
                on_message(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
        raise AssertionError(f"{code!r} did not end in {timeout_s} s")

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    import os

    (tmp_path / ".clnrm").mkdir()
    with resources.as_file(resources.files("clnrm_nb.self_test")) as source:
        shutil.copy(source / GREEN, tmp_path / GREEN)
    (tmp_path / "slow.clnrm.toml").write_text(SLOW + "".join(map(_slow_scenario, range(1, 25))))
    made = Kernel(tmp_path, {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")})
    made.run("%load_ext clnrm_nb")
    yield made
    made.close()


def _slow_scenario(number) -> str:
    command = f"echo '{SPAN.format(n=number, end=number + 1000)}'; sleep 0.12"
    # What JSON writes as a string, TOML reads as one.
    return f'[[scenario]]\nname = "s{number}"\nrun = {json.dumps(["sh", "-c", command])}\n'


def printed(messages) -> str:
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def shown(messages, kinds=("display_data", "execute_result", "update_display_data")):
    return [m for m in messages if m["msg_type"] in kinds]


def last_display(messages):
    """What stands in the output of the live view at the end."""
    updates = shown(messages, ("update_display_data",))
    return updates[-1]["content"]["data"]


def models(kernel) -> int:
    return int(printed(kernel.run(COUNT)).split()[1])


def test_live_run_opens_a_panel_and_leaves_no_widget_model(kernel):
    before = models(kernel)

    messages = kernel.run(f"%clnrm run {GREEN} --backend process --no-raise")

    first, *_ = shown(messages)
    assert WIDGET in first["content"]["data"]
    assert models(kernel) == before
    assert last_display(messages) == {"text/plain": ""}
    [value] = shown(messages, ("execute_result",))
    assert RESULT in value["content"]["data"]


def test_assigned_run_leaves_its_result_where_the_live_view_was(kernel):
    messages = kernel.run(f"r = %clnrm run {GREEN} --backend process --no-raise")

    assert RESULT in last_display(messages)
    assert not shown(messages, ("execute_result",))


def test_hidden_run_leaves_nothing_in_the_page(kernel):
    messages = kernel.run(f"%clnrm run {GREEN} --backend process --no-raise;")

    assert last_display(messages) == {"text/plain": ""}


def test_headless_run_makes_no_widget_and_imports_no_plotly_and_prints_a_line_a_scenario(kernel):
    messages = kernel.run(f"r = %clnrm run {GREEN} --backend process --no-raise", person=False)
    loaded = printed(kernel.run("import sys; print({'plotly', 'ipywidgets'} & set(sys.modules))"))

    assert [line.split()[0] for line in printed(messages).splitlines()] == ["passed"]
    assert f"{GREEN}::" in printed(messages)
    assert not [m for m in messages if m["msg_type"] == "comm_open"]
    assert loaded.strip() == "set()"


@pytest.mark.parametrize(
    ("variable", "has_display"), [("CLNRM_NOTEBOOK_LIVE", False), ("CLNRM_NOTEBOOK_WIDGETS", True)]
)
def test_configuration_switches_live_views_and_widgets_off(kernel, variable, has_display):
    section, key = variable.split("_")[1:]
    kernel.run(f"open('.clnrm/config.toml', 'w').write('[{section.lower()}]\\n{key.lower()} = false\\n')")

    messages = kernel.run(f"r = %clnrm run {GREEN} --backend process --no-raise")

    assert not [m for m in messages if m["msg_type"] == "comm_open"]
    assert bool(shown(messages)) is has_display


def test_figure_of_a_long_run_grows_and_leaves_no_model_and_no_script(kernel):
    before = models(kernel)
    kernel.run("from clnrm_nb.notebook.views import growing")
    sent = []

    messages = kernel.run(
        "r = %clnrm run slow.clnrm.toml --backend process --no-raise", on_message=sent.append
    )

    opened = [m for m in messages if m["msg_type"] == "comm_open"]
    figures = [m for m in opened if len(m["content"]["data"].get("state", {}).get("_esm", "")) > 1_000_000]
    [figure] = figures
    comm = figure["content"]["comm_id"]
    to_figure = [m for m in messages if m["msg_type"].startswith("comm_") and m["content"]["comm_id"] == comm]
    assert to_figure[-1]["msg_type"] == "comm_close"
    assert to_figure[-2]["content"]["data"]["state"]["_esm"] == "export default {}"
    assert models(kernel) == before
    assert RESULT in last_display(messages)


def test_messages_of_a_live_run_are_few_and_small(kernel):
    kernel.run("from clnrm_nb.notebook.views import growing")
    stamps = []

    def note(message):
        if message["msg_type"] == "comm_msg":
            size = len(json.dumps(message["content"])) + sum(len(part) for part in message["buffers"])
            stamps.append((message["header"]["date"].timestamp(), size))

    kernel.run("r = %clnrm run slow.clnrm.toml --backend process --no-raise", on_message=note)

    assert max(size for _, size in stamps) <= 20_000
    times = [at for at, _ in stamps]
    busiest = max(sum(1 for other in times if at <= other < at + 1) for at in times)
    assert len(times) >= 10
    assert busiest <= 10, busiest


@pytest.mark.parametrize(
    ("line", "says"), [("panel", "tests and variables"), ("review", "Nothing waits for a decision")]
)
def test_widget_commands_are_durable_lists_where_nobody_clicks(kernel, line, says):
    messages = kernel.run(f"%clnrm {line}", person=False)

    [value] = shown(messages, ("execute_result",))
    assert says in value["content"]["data"]["text/plain"]
    assert "text/html" in value["content"]["data"]
    assert not [m for m in messages if m["msg_type"] == "comm_open"]


def test_review_lists_what_waits_and_is_red_where_nobody_clicks(kernel):
    run = f"%clnrm run {GREEN} --backend process --no-raise"
    kernel.run(f"{run} --update-baseline", person=False)
    kernel.run(f"{run} --baseline -m root=basket", person=False)

    messages = kernel.run("%clnrm review", person=False)

    [listed] = shown(messages, ("display_data",))
    assert f"{GREEN}::prints" in listed["content"]["data"]["text/plain"]
    [error] = [m["content"] for m in messages if m["msg_type"] == "error"]
    assert error["ename"] == "RunFailedError"
    assert not [m for m in messages if m["msg_type"] == "comm_open"]


def test_interrupted_run_shows_what_it_had_and_leaves_no_model(kernel):
    before = models(kernel)
    state = {"interrupted": False}

    def interrupt(message):
        if (
            message["msg_type"] == "comm_msg"
            and not state["interrupted"]
            and "span" in str(message["content"])
        ):
            state["interrupted"] = True
            kernel.interrupt()

    begun = monotonic()
    messages = kernel.run("r = %clnrm run slow.clnrm.toml --backend process --no-raise", on_message=interrupt)

    assert monotonic() - begun < 30
    assert "interrupted" in json.dumps(last_display(messages).get(RESULT, {})) or "error" in str(messages)
    assert models(kernel) == before


def test_detached_run_becomes_its_result_in_the_cell_that_started_it(kernel):
    [opened] = shown(kernel.run("run = %clnrm run slow.clnrm.toml --backend process --detach --no-raise"))

    messages = kernel.run("result = run.wait(30); print(result.ok, run.status)")

    assert "True passed" in printed(messages)
    kernel.run("run")
    display = opened["content"]["transient"]["display_id"]
    updates = shown(kernel.late, ("update_display_data",))
    became = [m["content"]["data"] for m in updates if m["content"]["transient"]["display_id"] == display]
    assert RESULT in became[-1]


def test_tab_closed_on_a_detached_run_is_not_saved_as_a_widget_that_nobody_has(kernel):
    before = models(kernel)

    [opened] = shown(kernel.run("run = %clnrm run slow.clnrm.toml --backend process --detach --no-raise"))

    assert models(kernel) == before
    kernel.run("run.cancel()")
    assert "text/html" in opened["content"]["data"]
    assert WIDGET not in opened["content"]["data"]


def test_detached_run_without_an_engine_says_so_where_it_was_started(kernel):
    kernel.run("import os; os.environ['DOCKER_HOST'] = 'tcp://127.0.0.1:9'")

    messages = kernel.run(f"run = %clnrm run {GREEN} --backend docker --detach")
    messages += kernel.run("try: run.wait(30)\nexcept Exception as error: print(type(error).__name__)\nrun")

    assert "BackendUnavailableError" in printed(messages)
    *_, value = shown(messages, ("execute_result",))
    assert "<Run error" in value["content"]["data"]["text/plain"]
    said = shown([*messages, *kernel.late], ("update_display_data",))[-1]["content"]["data"]["text/plain"]
    assert said.count("no container engine answers") == said.count("DOCKER_HOST names this address") == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (f"%clnrm panel {GREEN}", "tests and variables"),
        (f"r = %clnrm run {GREEN} --backend process --no-raise\n{EXPLORE}", "1 test"),
    ],
)
def test_notebook_saved_with_an_open_widget_can_be_read_without_its_kernel(kernel, code, says):
    messages = kernel.run(code)

    *_, opened = [m["content"]["data"] for m in shown(messages) if WIDGET in m["content"]["data"]]
    assert set(opened) == {WIDGET, "text/html", "text/plain"}
    assert says in opened["text/html"]
    assert says in opened["text/plain"]
    assert "VBox(" not in opened["text/plain"]


def test_failed_command_that_is_no_run_is_not_called_a_run(kernel):
    kernel.run("import os; os.environ['DOCKER_HOST'] = 'tcp://127.0.0.1:9'")

    messages = kernel.run("%clnrm doctor")

    [error] = [m["content"] for m in messages if m["msg_type"] == "error"]
    assert "%clnrm doctor failed" in error["evalue"]


def test_secrets_are_masked_in_a_run_that_goes_on(kernel):
    secret = "s3cr3t-token-of-ada"
    text = SLOW + '[secrets]\nenv = ["ADA_TOKEN"]\n' + "".join(map(_slow_scenario, range(1, 13)))
    kernel.run(f"import os; os.environ['ADA_TOKEN'] = {secret!r}")
    kernel.run(f"open('told.clnrm.toml', 'w').write({text.replace('span ', f'span {secret} ')!r})")

    messages = kernel.run("r = %clnrm run told.clnrm.toml --backend process --no-raise")

    live = [
        json.dumps(message["content"], ensure_ascii=False)
        for message in messages
        if message["msg_type"] in ("comm_msg", "comm_open")
    ]
    assert [said for said in live if "span ••• 1" in said]
    assert not [said for said in live if secret in said]
