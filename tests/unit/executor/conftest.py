"""A backend that runs nothing and does as it is told, for the order and the rules of a run."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from clnrm_nb.config.project import Project
from clnrm_nb.config.settings import load_settings
from clnrm_nb.executor.backends.protocol import CommandResult, Leftover
from clnrm_nb.executor.plan import make_plan
from clnrm_nb.executor.pool import run_tests
from clnrm_nb.scenario.model import Metadata, Service, Step, TestFile
from clnrm_nb.spans.model import Resource, Span


class FakeService:
    def __init__(self, name):
        self.name = name
        self.end = asyncio.get_running_loop().create_future()
        self.lines = []
        self.listeners = []
        self.addresses = {}
        self.is_oom = False
        self.is_watched = asyncio.Event()

    def print(self, line):
        self.lines.append(line)
        for listener in list(self.listeners):
            listener(line)

    def address(self, container_port):
        return self.addresses.get(container_port)

    async def exited(self):
        self.is_watched.set()
        return await asyncio.shield(self.end)

    async def oom_killed(self):
        return self.is_oom

    def log_tail(self, lines=20):
        return self.lines[-lines:]

    def on_log_line(self, listener):
        for line in self.lines:
            listener(line)
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def stdout(self):
        return "".join(f"{line}\n" for line in self.lines).encode()

    def stderr(self):
        return b""


class FakeUnit:
    receiver_host = listen_address = "127.0.0.1"
    isolation = "fresh"

    def __init__(self, backend, spec):
        self.backend, self.spec = backend, spec
        self.hermetic = backend.unit_hermetic
        self.services = {}
        self.closed = 0

    def addresses(self):
        return ["10.1.0.0/16"]

    def environment(self):
        return {"CLNRM_HOST_DB": "db"}

    async def start_service(self, name, env):
        self.backend.note(f"start {name}")
        self.backend.env[name] = env
        service = self.services[name] = FakeService(name)
        behaviour = self.backend.on_start.get(name)
        if behaviour:
            await behaviour(service)
        return service

    async def warm_up(self, service):
        pass

    async def execute(self, command):
        self.backend.commands.append(command)
        self.backend.running += 1
        self.backend.note(f"run {command.name}")
        self.backend.most_running = max(self.backend.most_running, self.backend.running)
        try:
            behaviour = self.backend.on_command.get(command.name, 0)
            if callable(behaviour):
                behaviour = behaviour(command)
                if asyncio.iscoroutine(behaviour):
                    behaviour = await behaviour
            if isinstance(behaviour, CommandResult):
                return behaviour
            return CommandResult(behaviour, b"", b"", 1.0)
        finally:
            self.backend.running -= 1

    async def stop_services(self, grace_s):
        self.backend.note(f"stop after {grace_s:g}")
        return self.backend.killed

    async def read_files(self, service, pattern, target):
        if pattern not in self.backend.files:
            return []
        target.mkdir(parents=True)
        (target / "found").write_text(pattern)
        return [target / "found"]

    async def objects(self):
        return {
            "container": list(self.services),
            "network": ["net"],
            "volume": [],
            "service": list(self.services),
        }

    def diagnostics(self):
        return []

    async def close(self):
        self.closed += 1
        self.backend.note(f"close {self.spec.test_id}")
        if self.backend.on_close:
            await self.backend.on_close(self)
        return self.backend.leftovers


class FakeBackend:
    hermetic = True
    replayed = False

    def __init__(self, name="fake"):
        self.name = name
        self.unit_hermetic = True
        self.log, self.commands, self.units, self.env = [], [], [], {}
        self.on_start, self.on_command, self.on_open, self.on_close = {}, {}, None, None
        self.killed, self.leftovers, self.findings, self.files = [], [], [], set()
        self.running = self.most_running = 0
        self._changed = asyncio.Event()

    def note(self, what):
        self.log.append(what)
        self._changed.set()

    async def until(self, condition):
        """Wait for something that starting, running or closing brings about."""
        while not condition():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)

    async def open(self):
        pass

    def policy_findings(self, spec):
        return self.findings

    async def open_unit(self, spec):
        if self.on_open:
            await self.on_open(spec)
        unit = FakeUnit(self, spec)
        self.units.append(unit)
        return unit

    async def close(self):
        pass


class FakeReceiver:
    """No sockets: spans are put in by :meth:`send`."""

    def __init__(self):
        self.sinks, self.listening = {}, Counter()

    async def start(self, port=0):
        pass

    async def stop(self):
        pass

    async def listen(self, address, *, grpc=False):
        self.listening[address] += 1

    async def unlisten(self, address):
        self.listening[address] -= 1

    def register(self, token, sink, account=None):
        self.sinks[token] = sink

    def unregister(self, token):
        self.sinks.pop(token, None)

    def endpoint(self, token, host, *, grpc=False):
        return f"http://{host}:4318/{token}"

    def connections_busy(self, tokens=None):
        return False

    def claim_stray(self, test_id):
        return 0

    def claim_stray_rest(self):
        return {}


@pytest.fixture
def fake_backend():
    return FakeBackend()


@pytest.fixture
def fake_receiver():
    return FakeReceiver()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, tmp_path / ".clnrm")


@pytest.fixture
def settings_for(project):
    def make(**keys):
        quick = {"executor.flush_max_ms": 0}
        dotted = {key.replace("__", "."): value for key, value in keys.items()}
        return load_settings(project, overrides={**quick, **dotted}, environ={})

    return make


@pytest.fixture
def a_test():
    def make(name="a", steps=("go",), services=(), meta=None, **fields):
        return TestFile(
            file=f"{name}.clnrm.toml",
            metadata=Metadata(name=name, **(meta or {})),
            steps=tuple(s if isinstance(s, Step) else Step(name=s, command=(s,)) for s in steps),
            services={s.name: s for s in (Service(name=s) if isinstance(s, str) else s for s in services)},
            **fields,
        )

    return make


@pytest.fixture
def plan_for(project, settings_for, tmp_path):
    def make(test, **keys):
        return make_plan(test, directory=tmp_path, project=project, settings=settings_for(**keys))

    return make


@pytest.fixture
def run(fake_backend, fake_receiver, project, settings_for, plan_for):
    """Run tests on the fake backend; one test gives one outcome."""

    async def run(*tests, backend=None, settings=None, **options):
        chosen = settings_for(**(settings or {}))
        plans = [plan_for(test, **(settings or {})) for test in tests]
        outcomes = await run_tests(
            plans,
            backend or fake_backend,
            settings=chosen,
            project=project,
            run_id="R1",
            receiver=fake_receiver,
            environ=options.pop("environ", {}),
            **options,
        )
        return outcomes[0] if len(tests) == 1 else outcomes

    return run


@pytest.fixture
def result():
    def make(exit_code=0, stdout=b"", stderr=b"", **fields):
        return CommandResult(exit_code, stdout, stderr, 1.0, **fields)

    return make


@pytest.fixture
def hang():
    async def hang(*_):
        await asyncio.Event().wait()

    return hang


@pytest.fixture
def codes():
    return lambda outcome: [finding.code for finding in outcome.diagnostics]


@pytest.fixture
def leftover():
    return Leftover


@pytest.fixture
def a_span():
    def make(name="work", span_id="aa" * 8, trace_id="bb" * 16, service="app", **fields):
        fields = {"start_ns": 1_000, "end_ns": 2_000, **fields}
        return Span(trace_id, span_id, name, resource=Resource({"service.name": service}), **fields)

    return make
