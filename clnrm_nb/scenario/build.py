"""A parsed document → the canonical :class:`~clnrm_nb.scenario.model.TestFile`, all findings in one pass.

:func:`draft` never gives up: what cannot be read is reported and left out, so that references, cycles and the
rest can still be checked on what remains. :func:`build` is for whoever wants a file that may run: no model
where there is an error.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

from clnrm_nb.scenario.commands import build_scenarios, build_steps
from clnrm_nb.scenario.expectations import ExpectParts
from clnrm_nb.scenario.findings import Findings, locate_all
from clnrm_nb.scenario.model import (
    Cleanup,
    Determinism,
    Expect,
    Metadata,
    Otel,
    Report,
    Secrets,
    TestFile,
    TestLimits,
)
from clnrm_nb.scenario.older import add_assertions, add_otel_expectations, add_otel_validation
from clnrm_nb.scenario.records import Record
from clnrm_nb.scenario.repairs import Insert, Repair
from clnrm_nb.scenario.services import build_services
from clnrm_nb.scenario.tables import EXPORTERS_NOT_IMPLEMENTED, FILE, METADATA
from clnrm_nb.scenario.tolerance import build_tolerance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clnrm_nb.errors import Diagnostic
    from clnrm_nb.scenario.parse import Parsed

__all__ = ["build", "draft"]

_NEEDS_GRPC: Final = "needs the extra `grpc` (pip install 'clnrm_nb[grpc]'); HTTP is used"

ModelT = TypeVar("ModelT", Secrets, Cleanup, Determinism)


def build(
    parsed: Parsed, *, file: str, matrix: Mapping[str, Any]
) -> tuple[TestFile | None, list[Diagnostic]]:
    """The test file of a parsed document.

    Parameters
    ----------
    parsed : Parsed
        With a document; without one the result is ``(None, [])``.
    file : str
        POSIX path from the project root, or ``cell:NAME``.
    matrix : mapping
        The combination the file was rendered with.

    Returns
    -------
    tuple of TestFile or None, and list of Diagnostic
        ``None`` where a finding is an error.
    """
    if parsed.document is None:
        return None, []
    findings = Findings()
    test = draft(parsed.document, file, matrix, findings)
    diagnostics = locate_all(findings.items, parsed)
    return (None if any(d.severity == "error" for d in diagnostics) else test), diagnostics


def draft(document: dict[str, Any], file: str, matrix: Mapping[str, Any], findings: Findings) -> TestFile:
    """As much of a test file as `document` holds; what is wrong with the rest is in `findings`."""
    record = FILE.read(document, (), findings)
    services = build_services(record, findings)
    hosts = tuple(host for service in services.values() for host in service.network.allowed_hosts)
    steps = build_steps(record.get("steps", ()), services, findings)
    scenarios = build_scenarios(record.get("scenario", ()), services, hosts, findings)
    _check_presence(record, findings)
    return TestFile(
        file=file,
        metadata=_metadata(record, findings),
        services=services,
        steps=steps,
        scenarios=scenarios,
        otel=_otel(record, findings),
        expect=_expect(record, hosts, findings),
        limits=_limits(record),
        secrets=_model(Secrets, record.get("secrets")),
        tolerance=build_tolerance(list(record.get("tolerance", ())), ("tolerance",), findings),
        report=_report(record.get("report")),
        cleanup=_cleanup(record.get("cleanup"), findings),
        determinism=_model(Determinism, record.get("determinism")),
        matrix=dict(matrix),
    )


def _model(model: type[ModelT], record: Record | None) -> ModelT:
    """A model whose fields are the keys of its table."""
    return model(**record.values) if record is not None else model()


def _cleanup(record: Record | None, findings: Findings) -> Cleanup:
    """What asks to keep objects is said to be without effect: a test always takes everything away."""
    for key in ("containers", "networks", "volumes"):
        if record is not None and record.get(key, "always") != "always":
            message = f"`cleanup.{key}` is not implemented; everything a test made is removed"
            findings.add("CLN320", record.at(key), message)
    return _model(Cleanup, record)


def _check_presence(record: Record, findings: Findings) -> None:
    if "meta" not in record and "test" not in record:
        findings.add("CLN310", (), "file needs `[meta]` or `[test.metadata]`", part="file")
    # A table of the wrong type is there, and has its own finding.
    has_commands = any(key in record and record.get(key) != () for key in ("steps", "scenario"))
    if not has_commands:
        findings.add("CLN311", (), "file has no steps and no scenarios", part="file")


# ------------------------------------------------------------------------------------------- metadata


def _metadata(file: Record, findings: Findings) -> Metadata:
    """``meta``, then ``test.metadata``, then ``test`` itself, key by key."""
    test: Record | None = file.get("test")
    candidates = (file.get("meta"), test.get("metadata") if test else None, test)
    levels = [level for level in candidates if level is not None]
    if not levels:
        return Metadata(name="")
    head = levels[0]
    title = {"meta": "[meta]", "metadata": "[test.metadata]"}.get(str(head.path[-1]), "[test]")
    for key in ("name", "version") if "meta" in file.values else ("name",):
        if not any(key in level for level in levels):
            repair = Repair('Add `version = "1"`', (Insert(head.path, key, '"1"', after="name"),))
            findings.add(
                "CLN304", head.path, f"`{title}` needs `{key}`", part="header",
                repair=repair if key == "version" else None,
            )  # fmt: skip
    values: dict[str, Any] = {}
    for level in reversed(levels):
        values |= level.some(*(key.name for key in METADATA.keys if not key.name.startswith("timeout")))
        if "timeout" in level.values or "timeout_seconds" in level.values:
            values["timeout_s"] = level.get("timeout", level.get("timeout_seconds"))
    return Metadata(**({"name": ""} | values))


# ---------------------------------------------------------------------------------------- other tables


def _otel(file: Record, findings: Findings) -> Otel:
    record: Record | None = file.get("otel")
    values: dict[str, Any] = {}
    if record is not None:
        values = record.some(
            "exporter", "endpoint", "forward", "protocol", "sample_ratio", "resources", "headers"
        )
        values |= {"source": record.path, "written": record.respelled}
        _report_missing_exporters(record, values, findings)
    for older, key in (("otel_headers", "headers"), ("otel_propagators", "propagators")):
        if older in file and record is not None and key in record:
            findings.add("CLN309", file.at(older), f"`otel.{key}` and `{older}` both given", part="key")
    if "otel_headers" in file.values:
        values.setdefault("headers", file["otel_headers"])
    propagators = file.get("otel_propagators")
    if record is not None and "propagators" in record.values:
        propagators = record["propagators"]
    if isinstance(propagators, Record):
        propagators = propagators.get("use")
    if propagators is not None:
        values["propagators"] = propagators
    return Otel(**values)


def _report_missing_exporters(record: Record, values: dict[str, Any], findings: Findings) -> None:
    """CLN320. Without the extra ``grpc``, programs are told to use HTTP."""
    exporter = values.get("exporter")
    if exporter in EXPORTERS_NOT_IMPLEMENTED:
        findings.add(
            "CLN320",
            record.at("exporter"),
            f"exporter `{exporter}` is not implemented; spans will not be collected",
        )
    if values.get("forward"):
        findings.add("CLN320", record.at("forward"), "`forward` is not implemented; spans are not sent on")
    if find_spec("grpc") is None:
        for key, grpc, http in (("exporter", "otlp-grpc", "otlp"), ("protocol", "grpc", "http/protobuf")):
            if values.get(key) == grpc:
                findings.add("CLN320", record.at(key), f"{key} `{grpc}` {_NEEDS_GRPC}")
                values[key] = http


def _limits(file: Record) -> TestLimits:
    record: Record | None = file.get("limits")
    if record is None:
        return TestLimits()
    return TestLimits(
        **record.some("memory_mb", "cpu_millicores", "max_containers"),
        max_duration_s=record.get("max_duration_seconds"),
    )


def _report(record: Record | None) -> Report:
    if record is None:
        return Report()
    values = record.some("junit", "html", "markdown")
    digest = record.get("digest")
    if isinstance(digest, Record):
        digest = digest.get("path")
    return Report(json_path=record.get("json"), digest=digest, **values)


def _expect(file: Record, hosts: tuple[str, ...], findings: Findings) -> Expect:
    parts = ExpectParts(hosts, findings)
    if "expect" in file.values:
        parts.add_expect(file["expect"])
    if "otel_validation" in file.values:
        add_otel_validation(file["otel_validation"], parts)
    if "otel_expectations" in file.values:
        add_otel_expectations(file["otel_expectations"], parts)
    test: Record | None = file.get("test")
    for holder in (file, test):
        if holder is not None and "assertions" in holder.values:
            add_assertions(holder["assertions"], parts)
    return parts.freeze()
