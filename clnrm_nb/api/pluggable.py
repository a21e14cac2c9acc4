"""``plugins``: what can be named in files and flags, where it comes from, whether it works here.

Every list is read from where the word is understood, so that this page cannot promise what is not there.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.api.contexts import Context, context_of, refuse_unknown
from clnrm_nb.commands import COMMANDS
from clnrm_nb.errors import ClnrmError
from clnrm_nb.executor.backends import all_backends
from clnrm_nb.executor.loop import run_blocking
from clnrm_nb.report.tables import Table
from clnrm_nb.scenario.model import Expect
from clnrm_nb.scenario.services import GENERIC, NETWORK_SERVICE, PRESETS
from clnrm_nb.scenario.tables import EXPORTERS, EXPORTERS_NOT_IMPLEMENTED
from clnrm_nb.spans.loaders import INPUT_FORMATS
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.config.settings import Settings

__all__ = ["plugins"]

Row = tuple[str, str, str, str, str]

_HERE: Final = f"clnrm_nb {__version__}"
_TABLES: Final = {"spans": "span", "windows": "window", "resources": "resource"}
"""Fields of :class:`Expect` that are called otherwise in a file."""
_OLDER: Final = frozenset({"traces", "assertions", "required_events", "should_have_parent_child_edges"})
_NO_KIND: Final = frozenset({"framework_spans", "not_evaluated"})


def plugins(*, context: Context | None = None, **options: Any) -> Table:
    """Backends, plugin words of services, exporters, trace formats, expectations and report formats.

    Returns
    -------
    Table
        One row a word: ``kind, name, state, from, detail``. ``state`` is usable, limited (``detail`` says
        how) or missing.
    """
    here = context_of(context, options)
    refuse_unknown("plugins", options)
    rows = [
        *_backends(here.settings),
        *_services(),
        *_exporters(),
        *(("trace format", name, "usable", _HERE, "") for name in INPUT_FORMATS),
        *(("expectation", name, "usable", _HERE, f"[expect.{name}]") for name in _expectations()),
        *(("report format", name, "usable", _HERE, "") for name in _formats()),
    ]
    return Table("plugins", ("kind", "name", "state", "from", "detail"), rows)


def _backends(settings: Settings) -> Iterator[Row]:
    known = {
        "docker": _engine(settings),
        "process": ("usable", "only where a person asks for it: --backend process"),
        "replay": ("usable", "plays a recording: --replay FILE"),
        "dask": _with_extra("dask", "distributed", "whole tests on a cluster: --scheduler URL"),
    }
    for name, target, entry in all_backends():
        state, detail = known.get(name) or _importable(target)
        package = entry.dist if entry is not None else None
        origin = f"{package.name} {package.version}" if package else _HERE
        yield "backend", name, state, origin, detail
    yield "backend", "auto", "usable", _HERE, "docker if an engine answers, else replay"


def _engine(settings: Settings) -> tuple[str, str]:
    from clnrm_nb.executor.backends.docker.engine import Engine

    async def look() -> str:
        engine = await Engine.connect(settings.executor.docker_host)
        try:
            return engine.address.url
        finally:
            engine.close()

    try:
        return "usable", f"an engine answers at {run_blocking(look())}"
    except ClnrmError as error:
        return "missing", error.message


def _importable(target: str) -> tuple[str, str]:
    module, _, attribute = target.partition(":")
    try:
        getattr(import_module(module), attribute)
    except Exception as error:  # noqa: BLE001  # Somebody else's package may fail in any way.
        return "missing", f"`{target}` cannot be imported: {type(error).__name__}: {error}"
    return "usable", ""


def _services() -> Iterator[Row]:
    yield "service plugin", GENERIC, "usable", _HERE, "any image"
    for name, preset in PRESETS.items():
        yield "service plugin", name, "usable", _HERE, f"image {preset.image}"
    yield "service plugin", NETWORK_SERVICE, "usable", _HERE, "no container; the test is not hermetic"


def _with_extra(extra: str, module: str, detail: str) -> tuple[str, str]:
    """Whether what an extra brings is there; looked for, not imported."""
    if find_spec(module) is None:
        return "missing", f"needs the extra `{extra}`: pip install 'clnrm_nb[{extra}]'"
    return "usable", detail


def _exporters() -> Iterator[Row]:
    known = {
        **dict.fromkeys(
            EXPORTERS_NOT_IMPLEMENTED, ("limited", "accepted; no spans are collected from it (CLN320)")
        ),
        "otlp-grpc": _with_extra("grpc", "grpc", "over a port of its own"),
    }
    for name in EXPORTERS:
        state, detail = known.get(name, ("usable", ""))
        yield "exporter", name, state, _HERE, detail


def _expectations() -> list[str]:
    """Tables below ``[expect]``, by the fields of the model."""
    return [_TABLES.get(name, name) for name in Expect.model_fields if name not in _OLDER | _NO_KIND]


def _formats() -> list[str]:
    """Words of ``--format`` and ``report --type``, each once."""
    types = [flag.choices for command in COMMANDS for flag in command.flags if flag.option == "report_type"]
    shared = (form for command in COMMANDS for form in command.formats)
    return list(dict.fromkeys([*shared, *(form for forms in types for form in forms)]))
