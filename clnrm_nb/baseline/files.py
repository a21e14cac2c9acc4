"""One baseline file: OTLP/JSON that a person can read in a pull request (``format.md`` 8.4).

Each resource and each scope stands once, one span a line, no times. Siblings are ordered by what they are
called and by their ids, which are kept between versions (:mod:`clnrm_nb.baseline.names`): no change of a
value moves a line. A link says the position it points at; its ids serve other programs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from clnrm_nb.baseline.forms import table_of
from clnrm_nb.baseline.names import give_names, label_of
from clnrm_nb.errors import ClnrmError, InternalError, Location
from clnrm_nb.spans.canonical import BY_POSITION, FORMAT, canonical, positions, trace_digest
from clnrm_nb.spans.intake import Intake
from clnrm_nb.spans.loaders import otlp_json
from clnrm_nb.spans.loaders.write import otlp_attributes
from clnrm_nb.spans.model import Link
from clnrm_nb.spans.topology import children_of, tree_parents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clnrm_nb.spans.model import Resource
    from clnrm_nb.spans.table import SpanTable

__all__ = ["Baseline", "header_of", "parse", "scenario_of", "write"]

_KNOWN_VERSION: Final = int(FORMAT.rpartition("/")[2])
_FORMAT: Final = re.compile(r"clnrm-trace/([0-9]{1,9})")
_CONFLICT: Final = re.compile(rb"(?m)^(<<<<<<<|=======|>>>>>>>)")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The accepted trace of one scenario or test level.

    Parameters
    ----------
    id : str
        ``test.clnrm.toml::scenario``, or the test's id for its level.
    version : int
        From 1 up.
    digest : str
        Trace digest.
    composed : bool
        Patched together from edits; no run has been equal to it yet.
    table : SpanTable
        Its spans; ids are names.
    """

    id: str
    version: int
    digest: str
    composed: bool
    table: SpanTable

    def by_number(self) -> SpanTable:
        """Its spans in canonical order: row `n` is the span that a diff calls number `n`."""
        return table_of(canonical(self.table))


def scenario_of(baseline_id: str) -> tuple[str, str | None]:
    """Test id and scenario name of an id: parted at the first ``::`` outside the matrix combination."""
    depth = 0
    for place, character in enumerate(baseline_id):
        depth += (character == "[") - (character == "]" and depth > 0)
        if not depth and baseline_id.startswith("::", place):
            return baseline_id[:place], baseline_id[place + 2 :]
    return baseline_id, None


# ------------------------------------------------------------------------------------------------ writing


def write(
    baseline_id: str,
    version: int,
    document: Mapping[str, Any],
    *,
    before: SpanTable | None = None,
    composed: bool = False,
) -> bytes:
    """The file of a canonical form.

    Parameters
    ----------
    document : mapping
        As :func:`clnrm_nb.spans.canonical.canonical` makes it.
    before : SpanTable, optional
        The version it replaces, whose ids are kept.

    Returns
    -------
    bytes
        UTF-8, LF, final line break; reading it gives the same digest.
    """
    table = table_of(document)
    digest = trace_digest(table)
    give_names(table, before)
    header = {
        "format": FORMAT,
        "id": baseline_id,
        "version": version,
        "digest": digest,
        "composed": composed,
    }
    content = (
        f'{{"clnrm":{_json(header)},\n"resourceSpans":[\n{_resources(baseline_id, table)}\n]}}\n'.encode()
    )
    if parse(content, baseline_id, name="the new file").digest != digest:
        raise InternalError(f"the baseline of `{baseline_id}` would not read back as it was written")
    return content


def _resources(baseline_id: str, table: SpanTable) -> str:
    blocks: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in _in_order(table):
        resource = table.resource[row]
        key = resource.service, _json({"attributes": _marked(baseline_id, resource)})
        blocks.setdefault(key, {}).setdefault(_json({"name": table.scope[row].name}), []).append(row)
    spans = _Spans(table)
    return ",\n".join(
        f'{{"resource":{text},"scopeSpans":[\n{_scopes(spans, scopes)}\n]}}'
        for (_, text), scopes in sorted(blocks.items())
    )


def _marked(baseline_id: str, resource: Resource) -> list[dict[str, Any]]:
    test_id, scenario = scenario_of(baseline_id)
    marks = {"clnrm.test.id": test_id} | ({} if scenario is None else {"clnrm.scenario": scenario})
    return otlp_attributes({**resource.attributes, **marks})


def _scopes(spans: _Spans, scopes: Mapping[str, list[int]]) -> str:
    blocks = []
    for scope, rows in sorted(scopes.items()):
        lines = ",\n".join(map(spans.line, rows))
        blocks.append(f'{{"scope":{scope},"spans":[\n{lines}\n]}}')
    return ",\n".join(blocks)


def _in_order(table: SpanTable) -> Iterator[int]:
    """Rows in pre-order, siblings by label and id."""
    parents, _ = tree_parents(table)
    children = children_of(parents)

    def last_first(rows: list[int]) -> list[int]:
        return sorted(rows, key=lambda row: (label_of(table, row), table.span_id[row]), reverse=True)

    todo = last_first([row for row, parent in enumerate(parents) if parent is None])
    while todo:
        row = todo.pop()
        yield row
        todo.extend(last_first(children[row]))


class _Spans:
    """Lines of spans."""

    def __init__(self, table: SpanTable) -> None:
        self._table = table
        self._targets: dict[str, tuple[str, str]] | None = None

    def line(self, row: int) -> str:
        """One span as one line of JSON."""
        table = self._table
        span: dict[str, Any] = {"traceId": table.trace_id[row], "spanId": table.span_id[row]}
        if table.parent_span_id[row] is not None:
            span["parentSpanId"] = table.parent_span_id[row]
        span["name"] = table.name[row]
        span["kind"] = table.kind[row]
        if table.attributes[row]:
            span["attributes"] = otlp_attributes(table.attributes[row])
        if table.events[row]:
            span["events"] = [
                {"name": event.name, "attributes": otlp_attributes(event.attributes)}
                for event in table.events[row]
            ]
        if table.links[row]:
            span["links"] = [self._link(link) for link in table.links[row]]
        status: dict[str, Any] = {"code": table.status_code[row]}
        if table.status_message[row]:
            status["message"] = table.status_message[row]
        span["status"] = status
        return _json(span)

    def _link(self, link: Link) -> dict[str, Any]:
        target = link.span_id
        if self._targets is None:
            parents, _ = tree_parents(self._table)
            self._targets = {}
            for ids, position in positions(self._table, parents).items():
                # Of several spans at one position any will do, as long as it is always the same one.
                self._targets[position] = min(ids, self._targets.get(position, ids))
        made = hashlib.sha256(f"link\n{target}".encode()).hexdigest()
        trace_id, span_id = self._targets.get(target, (made[:32], made[32:48]))
        return {
            "traceId": trace_id,
            "spanId": span_id,
            "attributes": otlp_attributes(link.attributes),
            "clnrm": {"target": target},
        }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


# ------------------------------------------------------------------------------------------------ reading

_HEAD: Final = b'{"clnrm":'
_HEAD_END: Final = b",\n"


def header_of(content: bytes) -> dict[str, Any] | None:
    """The header of a file, checked for nothing; ``None`` where it has none. Its first line is enough."""
    line = content[: content.find(b"\n") + 1]
    try:
        if line.startswith(_HEAD) and line.endswith(_HEAD_END):
            header: Any = orjson.loads(line[len(_HEAD) : -len(_HEAD_END)])
        else:
            header = orjson.loads(content)["clnrm"]
    except (ValueError, KeyError, TypeError):
        return None
    return header if isinstance(header, dict) else None


def parse(content: bytes, baseline_id: str, *, name: str) -> Baseline:
    """Read a file back and check it against its own digest.

    Parameters
    ----------
    content : bytes
    baseline_id : str
        The id it must be of.
    name : str
        What to call it in messages.

    Raises
    ------
    ClnrmError
        CLN702: cut off, edited by hand, merged wrongly or of another id; CLN703: of a newer format.
    """
    damage = _Damage(name)
    document = _document(content, damage)
    header = document["clnrm"]
    digest = header["digest"]
    if header["id"] != baseline_id:
        raise damage.error(f"is the baseline of `{header['id']}`, not of `{baseline_id}`")
    table = _table(document, damage)
    found = trace_digest(table)
    if found != digest:
        raise damage.error(f"does not match its own digest (its content is {found[:19]}…): edited by hand?")
    return Baseline(baseline_id, header["version"], digest, header["composed"], table)


@dataclass(frozen=True, slots=True)
class _Damage:
    """Says what is wrong with one file."""

    name: str

    def error(
        self,
        what: str,
        code: str = "CLN702",
        *,
        at: tuple[int, int] | None = None,
        way: str = "take it from version control, or `clnrm baseline restore ID` brings a version back",
    ) -> ClnrmError:
        hint = f"{way}; the file was not touched"
        location = Location(self.name, *at) if at is not None and self.name else None
        return ClnrmError(f"`{self.name}` {what}", code, hint=hint, location=location)


def _document(content: bytes, damage: _Damage) -> dict[str, Any]:
    """The parsed file, its header known to be whole."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if not content.strip():
            raise damage.error("is empty") from None
        if mark := _CONFLICT.search(content):
            line = content.count(b"\n", 0, mark.start()) + 1
            way = f"`git checkout --ours '{damage.name}'` takes one side; run, then accept what is right"
            raise damage.error("holds the marks of a merge conflict", at=(line, 1), way=way) from None
        where = error.lineno, error.colno
        raise damage.error(f"is cut off or no JSON ({error.msg})", at=where) from None
    header = document.get("clnrm") if isinstance(document, dict) else None
    if not isinstance(header, dict) or not otlp_json.is_otlp(document):
        raise damage.error("is no baseline: it has no `clnrm` header beside `resourceSpans`")
    _check_header(header, damage)
    parsed: dict[str, Any] = document
    return parsed


def _check_header(header: Mapping[str, Any], damage: _Damage) -> None:
    written = header.get("format")
    match = _FORMAT.fullmatch(written) if isinstance(written, str) else None
    if match and int(match[1]) > _KNOWN_VERSION:
        way = "a newer version of clnrm_nb wrote it: upgrade"
        raise damage.error(f"has the format {written}, which is not known", "CLN703", way=way)
    digest, version = header.get("digest"), header.get("version")
    is_whole = (
        written == FORMAT
        and isinstance(header.get("id"), str)
        and isinstance(header.get("composed"), bool)
        and type(version) is int
        and version > 0
        and isinstance(digest, str)
        and _DIGEST.fullmatch(digest) is not None
    )
    if not is_whole:
        raise damage.error("has a `clnrm` header that is not whole")


def _table(document: dict[str, Any], damage: _Damage) -> SpanTable:
    intake = Intake()
    for resource, scope, block in otlp_json.scope_blocks(document, intake):
        spans = block.get("spans")
        spans = spans if isinstance(spans, list) else []
        first = len(intake.table)
        otlp_json.read_spans(spans, intake, resource, scope)
        if intake.n_refused:
            raise damage.error("holds spans that cannot be read")
        for row, span in enumerate(spans, first):
            _correct(intake.table, row, span)
    return intake.table


def _correct(table: SpanTable, row: int, span: Mapping[str, Any]) -> None:
    """Say what the file says, where readers of traces from anywhere make up for what is missing."""
    status = span.get("status")
    if isinstance(status, dict) and status.get("code") == 0:
        table.status_code[row] = 0
    links = span.get("links")
    if table.links[row] and isinstance(links, list):
        marks = [link.get("clnrm") for link in links if isinstance(link, dict)]
        table.links[row] = tuple(
            Link(BY_POSITION, mark["target"], link.attributes)
            if isinstance(mark, dict) and isinstance(mark.get("target"), str)
            else link
            for link, mark in zip(table.links[row], marks, strict=False)
        )
