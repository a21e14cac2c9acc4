"""What all tests share: an engine, images, the corpus, and the rule that a test leaves nothing behind.

What is missing on a machine is skipped by name, with the way to get it; named in ``CLNRM_REQUIRE``
(``docker,podman,browser,npm``) it is a failure instead.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:
    import docker

    from clnrm_nb.executor.backends.docker import DockerBackend
    from clnrm_nb.executor.backends.protocol import UnitSpec
    from clnrm_nb.scenario.model import Service

TESTS = Path(__file__).parent
_ENGINE_DIRECTORY = "CLNRM_TEST_ENGINE_DIRECTORY"
_BROWSER_HINT = "apt-get install -y --no-install-recommends chromium fonts-dejavu-core fonts-noto-color-emoji"
_OWN_VARIABLES = ("CLNRM_NB_", "CLEANROOM_")

# Two cores are shared by many: how long an example takes says nothing about the code.
hypothesis_settings.register_profile("clnrm", deadline=None, print_blob=True)
hypothesis_settings.load_profile("clnrm")


def _load(path: Path) -> ModuleType:
    """Import a file of the tests that is no test (there are no packages here to import it from)."""
    name = f"clnrm_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


# ------------------------------------------------------------------------------------------ the session


def pytest_configure(config: pytest.Config) -> None:
    """Name the place of a private engine, which all workers share, before any of them starts."""
    if not hasattr(config, "workerinput"):
        directory = Path(tempfile.gettempdir()) / f"clnrm-tests-{os.getpid()}"
        os.environ[_ENGINE_DIRECTORY] = str(directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the private engine, if any worker needed one."""
    if not hasattr(config, "workerinput"):
        directory = Path(os.environ.pop(_ENGINE_DIRECTORY))
        if directory.exists():
            _load(TESTS / "engine.py").stop(directory)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Benchmarks run when they are asked for: `-m bench`, `-m bench_full`, or by their own path."""
    asked = config.option.markexpr or any("test_bench" in argument for argument in config.args)
    if asked:
        return
    chosen = [
        item
        for item in items
        if not any(item.iter_markers("bench")) and not any(item.iter_markers("bench_full"))
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def missing(what: str, reason: str) -> NoReturn:
    """Skip because `what` (``docker``, ``browser``, ``npm`` …) is not here; fail where it is required."""
    if what in os.environ.get("CLNRM_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required (CLNRM_REQUIRE): {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def clean_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No configuration of the person who runs the tests has a say in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in [name for name in os.environ if name.startswith(_OWN_VARIABLES)]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def marked_requirements(request: pytest.FixtureRequest) -> None:
    """A test marked `docker` or `browser` gets it without naming the fixture."""
    for marker, fixture in (("docker", "engine"), ("browser", "browser")):
        if request.node.get_closest_marker(marker):
            request.getfixturevalue(fixture)


# ------------------------------------------------------------------------------------------ the engine


@dataclass(frozen=True)
class TestEngine:
    """The engine of the session. ``DOCKER_HOST`` names it while the session lasts.

    ``client`` is the SDK's low-level client.
    """

    __test__ = False

    url: str
    client: docker.APIClient

    def labelled(self, label: str, value: str) -> list[tuple[str, str]]:
        """(type, name) of the objects with a label."""
        wanted: dict[str, Any] = {"label": [f"{label}={value}"]}
        return [
            *(("container", each["Names"][0]) for each in self.client.containers(all=True, filters=wanted)),
            *(("network", each["Name"]) for each in self.client.networks(filters=wanted)),
            *(("volume", each["Name"]) for each in self.client.volumes(filters=wanted)["Volumes"] or []),
        ]


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[TestEngine]:
    """A Docker engine: the one of ``DOCKER_HOST`` if it answers, else a private one of this session.

    That of benchmarks waits for the disk as a user's does.
    """
    import docker

    tool = _load(TESTS / "engine.py")
    url = os.environ.get("DOCKER_HOST", "")
    if not (url and tool.answers(url)):
        try:
            is_measured = request.config.option.markexpr.startswith("bench")
            url = tool.start(Path(os.environ[_ENGINE_DIRECTORY]), in_memory=not is_measured)
        except tool.EngineError as error:
            missing("docker", str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)
        client = docker.APIClient(base_url=url, version="auto", max_pool_size=32)
        yield TestEngine(url, client)
        client.close()


@pytest.fixture(scope="session")
def victims() -> ModuleType:
    """Runs to interrupt and kill (``victims.py``)."""
    return _load(TESTS / "victims.py")


@pytest.fixture(scope="session")
def private_engine_tool() -> ModuleType:
    """Functions ``start(directory, *options)`` and ``stop(directory)``, for tests that break an engine."""
    tool = _load(TESTS / "engine.py")
    if not (shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/sbin")) or os.geteuid() != 0:
        missing("docker", f"these tests start an engine of their own, as root: {tool.INSTALL_HINT}")
    return tool


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[TestEngine]:
    """Podman's API as a second engine, private to this session."""
    import docker

    tool, answers = _load(TESTS / "podman.py"), _load(TESTS / "engine.py").answers
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="clnrm-p-"))
        try:
            url = stack.enter_context(tool.service(directory, answers))
        except tool.PodmanError as error:
            missing("podman", str(error))
        client = docker.APIClient(base_url=url, version="auto", max_pool_size=32)
        stack.callback(client.close)
        yield TestEngine(url, client)


@pytest.fixture(scope="session")
def fault_tool() -> ModuleType:
    """A proxy before an engine that makes calls go wrong: ``Proxy``, ``Fault``, ``KINDS``."""
    return _load(TESTS / "faults" / "proxy.py")


@pytest.fixture
def fault_proxy(engine: TestEngine, fault_tool: ModuleType) -> Iterator[Any]:
    """Such a proxy before the session's engine; ``inject`` tells it what goes wrong."""
    if not engine.url.startswith("unix://"):
        missing("docker", "calls go wrong in front of an engine with a local socket only")
    directory = Path(tempfile.mkdtemp(prefix="clnrm-f-"))
    proxy = fault_tool.Proxy(directory / "docker.sock", Path(engine.url.removeprefix("unix://")))
    yield proxy
    proxy.close()
    shutil.rmtree(directory)


def _image(engine: TestEngine, name: str) -> str:
    maker = _load(TESTS / "images" / "make.py")
    try:
        return str(getattr(maker, name)(engine.client))
    except FileNotFoundError as error:
        missing("docker", f"test images are made of busybox: {error}")


@pytest.fixture(scope="session")
def image_maker() -> ModuleType:
    """Functions that make the test images in any engine, given its client."""
    return _load(TESTS / "images" / "make.py")


@pytest.fixture(scope="session")
def two_engines(private_engine_tool: ModuleType, image_maker: ModuleType) -> Iterator[list[TestEngine]]:
    """Engines that nobody else uses, with the busybox image: two machines as far as tests can tell."""
    import docker

    directories = [Path(tempfile.gettempdir()) / f"clnrm-{which}-{os.getpid()}" for which in ("one", "other")]
    urls = [private_engine_tool.start(directory) for directory in directories]
    engines = [TestEngine(url, docker.APIClient(base_url=url, version="auto")) for url in urls]
    for each in engines:
        image_maker.busybox(each.client)
    yield engines
    for each, directory in zip(engines, directories, strict=True):
        each.client.close()
        private_engine_tool.stop(directory)


@pytest.fixture(scope="session")
def dask_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start a Dask cluster of the tests' own, `dask_cluster(name, …)`; all of them end with the session."""
    pytest.importorskip("distributed", reason="needs the extra `dask`")
    tool, started = _load(TESTS / "cluster.py"), []

    def start(name: str = "cluster", **options: Any) -> Any:
        started.append(tool.Cluster(tmp_path_factory.mktemp(name), **options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="session")
def busybox_image(engine: TestEngine) -> str:
    """Tag of an image with a shell and all of busybox (httpd, nc, wget, setsid …)."""
    return _image(engine, "busybox")


@pytest.fixture(scope="session")
def shellless_image(engine: TestEngine) -> str:
    """Tag of an image with `sleep` and `echo` and no shell."""
    return _image(engine, "without_shell")


@pytest.fixture(scope="session")
def volume_image(engine: TestEngine) -> str:
    """Tag of an image with a volume at /data, user 1000 and SIGINT as its stop signal."""
    return _image(engine, "with_volume")


@pytest.fixture(scope="session")
def python_image(engine: TestEngine) -> str:
    """Tag of an image with Python and the OpenTelemetry SDK and exporter, as the examples use it."""
    import docker

    from clnrm_nb.examples import images

    client = docker.DockerClient(base_url=engine.url)
    try:
        return images.ensure(["python"], client)[0].tag
    except images.ImageError as error:
        missing("docker", str(error))
    finally:
        client.close()


@pytest.fixture
async def docker_backend(engine: TestEngine, tmp_path: Path) -> AsyncIterator[DockerBackend]:
    """An open docker backend on the session's engine, with images looked for on this machine only."""
    from clnrm_nb.config.project import Project
    from clnrm_nb.config.settings import load_settings
    from clnrm_nb.executor.backends.docker import DockerBackend

    overrides = {"executor.docker_host": engine.url, "containers.pull_policy": "never"}
    settings = load_settings(Project(tmp_path, tmp_path / ".clnrm"), overrides=overrides, environ={})
    backend = DockerBackend(settings)
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
def unit_spec(tmp_path: Path, busybox_image: str) -> Callable[..., UnitSpec]:
    """Build the spec of a unit, `unit_spec(service, …, allow=…)`, with images filled in."""
    from clnrm_nb.executor.backends.protocol import UnitSpec

    def build(*services: Service, **changes: Any) -> UnitSpec:
        filled = [
            each if each.image else each.model_copy(update={"image": busybox_image}) for each in services
        ]
        given: dict[str, Any] = {
            "run_id": "run-1",
            "test_id": "test.clnrm.toml",
            "services": {each.name: each for each in filled},
            "directory": tmp_path,
            "project_root": tmp_path,
            "runner_image": busybox_image,
            "memory_mb": 64,
            "cpu_millicores": 1000,
        }
        return UnitSpec(**{**given, **changes})

    return build


@pytest.fixture
def no_leftovers(engine: TestEngine) -> Iterator[None]:
    """Nothing that this process made in the engine is left after the test.

    An interrupt is answered in time, and the removal goes on: on a busy machine for a moment more.
    """
    from clnrm_nb.reaper.ownership import this_process

    yield
    given_up_s = time.monotonic() + 30
    while left := engine.labelled("clnrm_nb.owner", str(this_process())):
        assert time.monotonic() < given_up_s, left
        time.sleep(0.05)


# ----------------------------------------------------------------------------------------- other things


@pytest.fixture(scope="session")
def ipython() -> Any:
    """The one shell of this process: IPython starts it once, for whoever asks first."""
    from IPython.testing.globalipapp import start_ipython

    return start_ipython()


@pytest.fixture
def shell(ipython: Any) -> Iterator[Any]:
    """A shell with the extension loaded."""
    ipython.run_line_magic("load_ext", "clnrm_nb")
    yield ipython
    ipython.run_line_magic("unload_ext", "clnrm_nb")


@pytest.fixture(scope="session")
def browser() -> str:
    """Path of chromium, to be driven with playwright's ``executable_path``."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return found or missing("browser", f"chromium is not installed: {_BROWSER_HINT}")


@pytest.fixture(scope="session")
def js_sdk() -> Any:
    """Node and OpenTelemetry's SDK for JavaScript, as ``node`` and ``directory``."""
    tool = _load(TESTS / "js_sdk.py")
    try:
        return tool.find()
    except tool.NpmError as error:
        missing("npm", str(error))


@pytest.fixture(scope="session")
def editors() -> ModuleType:
    """Ten ways of saving a file."""
    return _load(TESTS / "editors.py")


@pytest.fixture(scope="session")
def saves() -> ModuleType:
    """Random saves on a disk and a clock that are only thought of."""
    return _load(TESTS / "saves.py")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Directory of the scenario files and traces that come from elsewhere."""
    named = os.environ.get("CLNRM_CORPUS")
    found = Path(named) if named else TESTS.parent.parent / "shared" / "corpus"
    if not found.is_dir():
        pytest.skip(f"there is no corpus at {found}: set CLNRM_CORPUS to its directory")
    return found
