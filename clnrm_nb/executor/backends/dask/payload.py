"""What travels between the run and its workers: data with digests, in a format with a number.

Out goes the typed test file as JSON, the settings that matter to a test, the files it mounts, the values of
its ``[secrets]``; back come the outcome as JSON, the spans as OTLP, the files of its artifacts. Nothing of it
shows in a ``repr``, a task's key or a log: a parcel says what it is for and how large it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from clnrm_nb.config.sources import KEYS
from clnrm_nb.errors import Diagnostic, InternalError, Location
from clnrm_nb.executor.outcome import ScenarioOutcome, TestOutcome
from clnrm_nb.spans.loaders import load, write_otlp_json
from clnrm_nb.spans.table import SpanTable
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import TypeAdapter

    from clnrm_nb.config.settings import Settings
    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import KeyPath, TestFile

__all__ = [
    "FORMAT",
    "VERSIONS",
    "Parcel",
    "Reply",
    "file_document",
    "located",
    "located_document",
    "outcome_bytes",
    "outcome_of",
    "read_spans",
    "settings_document",
    "source_marker",
    "write_spans",
]

FORMAT: Final = 1
"""Number of the form of parcels and replies; both sides must have the same."""

VERSIONS: Final = {"clnrm_nb": __version__, "payload": FORMAT}
"""What both sides must have in common."""

_MARKER: Final = "clnrm-source:"
_SECTIONS: Final = ("executor.", "containers.", "services.", "security.", "receiver.")
_OWN_MATTER: Final = (
    "executor.backend",
    "executor.dask.",
    "executor.docker_host",
    "executor.groups",
    "executor.replay",
    "receiver.port",
)
"""What each worker decides for itself, or the run for all."""


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """One try to run one attempt of one test.

    Parameters
    ----------
    seat : str
        Where its token is, and where its reply is waited for.
    body : bytes
        JSON: ``versions``, ``run``, ``test`` (the id), ``attempt``, ``file`` (the typed test file),
        ``directory``, ``settings``, ``inner``, ``hash``, ``run_span``, ``label``.
    files : bytes
        A compressed archive of what the test mounts, paths from the project root; empty without mounts.
    secrets : mapping of str to str
        Values of ``[secrets] env``.
    digest : str
        SHA-256 of `body` and `files`.
    """

    fence: str
    seat: str
    test_id: str
    body: bytes
    files: bytes = b""
    secrets: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(
        cls,
        fence: str,
        document: Mapping[str, Any],
        *,
        seat: str = "",
        files: bytes = b"",
        secrets: Mapping[str, str] | None = None,
    ) -> Parcel:
        """Pack and seal."""
        body = orjson.dumps({"versions": VERSIONS, **document})
        return cls(fence, seat, document["test"], body, files, dict(secrets or {}), _digest(body, files))

    def opened(self) -> dict[str, Any]:
        """The document of its body.

        Raises
        ------
        InternalError
            CLN901: what came is not what was sent.
        """
        if self.digest != _digest(self.body, self.files):
            raise InternalError(f"the test {self.test_id!r} was damaged on its way to the worker")
        document: dict[str, Any] = orjson.loads(self.body)
        return document

    @property
    def size_bytes(self) -> int:
        """Of what is sent, nearly."""
        return len(self.body) + len(self.files)

    def __repr__(self) -> str:
        """What it is for; nothing of what is in it."""
        return f"<Parcel {self.test_id!r} {self.fence}: {self.size_bytes} bytes>"


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """How a start ended.

    Parameters
    ----------
    kind : str
        ``done``: the test ran, `outcome` says how. ``fenced``: another start has this id. ``abandoned``:
        stopped because nobody asked any more. ``stopped``: its worker was shut down. ``refused``: not run;
        `findings` says why. ``nothing``: stopped before it began.
    worker : str
    outcome, spans, files : bytes
        JSON, OTLP/JSON, and an archive.
    events : sequence of dict
        All events of the attempt in order.
    findings : bytes
        JSON of the findings of a refusal.
    """

    kind: Literal["done", "fenced", "abandoned", "stopped", "refused", "nothing"]
    worker: str = ""
    outcome: bytes = b""
    spans: bytes = b""
    files: bytes = b""
    events: tuple[dict[str, Any], ...] = ()
    findings: bytes = b""

    def __repr__(self) -> str:
        """Its kind; nothing of what is in it."""
        return f"<Reply {self.kind} of {self.worker}>"

    def message(self) -> dict[str, Any]:
        """As it is sent."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Reply:
        """As it came."""
        known = {each.name: message[each.name] for each in fields(cls)}
        return cls(**{**known, "events": tuple(known["events"])})

    @classmethod
    def refusing(cls, worker: str, *findings: Diagnostic) -> Reply:
        """A start that ran nothing, and why."""
        return cls("refused", worker, findings=orjson.dumps(findings))

    def diagnostics(self) -> list[Diagnostic]:
        """The findings of a refusal."""
        return _findings().validate_json(self.findings) if self.findings else []


def _digest(body: bytes, files: bytes) -> str:
    return hashlib.sha256(b"%d:%b%b" % (len(body), body, files)).hexdigest()


# ------------------------------------------------------------------------------------------ on the way out


def settings_document(settings: Settings) -> dict[str, Any]:
    """The settings a test depends on, by dotted key; where they came from stays here."""
    sent = [key for key in KEYS if key.startswith(_SECTIONS) and not key.startswith(_OWN_MATTER)]
    return {key: value for key in sent if (value := settings.value(key)) is not None}


def file_document(test: TestFile) -> Any:
    """The typed test file as it travels."""
    return orjson.Fragment(test.model_dump_json())


def source_marker(source: KeyPath) -> Location:
    """On a worker: a place that stands for a key path, since only the run knows the file people edit."""
    return Location(_MARKER + orjson.dumps(source).decode())


def located(finding: Diagnostic, plan: TestPlan) -> Diagnostic:
    """A worker's finding at its place in the file people edit."""
    if finding.file is None or not finding.file.startswith(_MARKER):
        return finding
    source = tuple(orjson.loads(finding.file.removeprefix(_MARKER)))
    bare = replace(finding, file=plan.test.file, line=None, column=None, end_line=None, end_column=None)
    return bare.at(plan.locate(source)) if plan.locate is not None else bare


def located_document(finding: Mapping[str, Any], plan: TestPlan) -> dict[str, Any]:
    """As :func:`located`, for the JSON form of a finding in an event."""
    bare = Diagnostic(finding["code"], finding["message"], file=finding["file"])
    place = located(bare, plan)
    keys = ("file", "line", "column", "end_line", "end_column")
    moved = {key: getattr(place, key) for key in keys} if place is not bare else {}
    return {**finding, **moved}


# ------------------------------------------------------------------------------------------ on the way back


@cache
def _findings() -> TypeAdapter[list[Diagnostic]]:
    from pydantic import TypeAdapter

    return TypeAdapter(list[Diagnostic])


@cache
def _scenarios() -> TypeAdapter[list[ScenarioOutcome]]:
    from pydantic import TypeAdapter

    return TypeAdapter(list[ScenarioOutcome])


def outcome_bytes(outcome: TestOutcome) -> bytes:
    """An outcome without its spans, unjudged."""
    return orjson.dumps(replace(outcome, spans=None, expectations=[]))


def outcome_of(data: bytes, plan: TestPlan) -> TestOutcome:
    """Read what :func:`outcome_bytes` wrote; what the run itself knows better comes from `plan`."""
    document = orjson.loads(data)
    known = {name: document[name] for name in (each.name for each in fields(TestOutcome)) if name in document}
    outcome = TestOutcome(**known)
    outcome.scenarios = _scenarios().validate_python(document["scenarios"])
    found = _findings().validate_python(document["diagnostics"])
    outcome.diagnostics = [located(finding, plan) for finding in found]
    outcome.leftovers = [(kind, name) for kind, name in document["leftovers"]]
    outcome.matrix = dict(plan.test.matrix)
    outcome.hash = plan.hash
    return outcome


def write_spans(table: SpanTable) -> bytes:
    """Spans as OTLP, owners and own marks with them; nothing for none."""
    return write_otlp_json(table) if len(table) else b""


def read_spans(data: bytes) -> SpanTable:
    """What :func:`write_spans` wrote."""
    return load(data, input_format="otlp-json", allow_empty=True)[0] if data else SpanTable()
