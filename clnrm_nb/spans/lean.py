"""OTLP's trace messages as a reader of many spans wants them: what spans repeat stays bytes.

On the wire a message inside a message and a string of bytes look the same. The official classes make an
object of every attribute, its value and each status; here these are bytes, to be looked up: equal bytes
were read before. Field numbers are those of ``opentelemetry/proto/trace/v1/trace.proto``; a field that may
come once is ``repeated`` where its parts, put together, are the whole, as protobuf has it.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

__all__ = ["ScopeSpans"]

_PACKAGE: Final = "clnrm_nb.lean"

_FIELDS: Final = {
    "Scope": ("string name 1", "string version 2"),
    "Event": ("fixed64 time 1", "string name 2", "repeated bytes attributes 3", "uint32 dropped 4"),
    "Link": (
        "bytes trace_id 1",
        "bytes span_id 2",
        "bytes trace_state 3",
        "repeated bytes attributes 4",
        "uint32 dropped 5",
        "fixed32 flags 6",
    ),
    "Span": (
        "bytes trace_id 1",
        "bytes span_id 2",
        "bytes trace_state 3",
        "bytes parent_span_id 4",
        "string name 5",
        "int32 kind 6",
        "fixed64 start 7",
        "fixed64 end 8",
        "repeated bytes attributes 9",
        "uint32 dropped_attributes 10",
        "repeated Event events 11",
        "uint32 dropped_events 12",
        "repeated Link links 13",
        "uint32 dropped_links 14",
        "repeated bytes status 15",
        "fixed32 flags 16",
    ),
    "ScopeSpans": ("Scope scope 1", "repeated Span spans 2", "string schema_url 3"),
}


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="clnrm_nb/lean.proto", package=_PACKAGE, syntax="proto3")
    for name, lines in _FIELDS.items():
        message = file.message_type.add(name=name)
        for line in lines:
            *repeated, kind, field_name, number = line.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if kind in _FIELDS:
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    return file


_POOL: Final = DescriptorPool()
_POOL.Add(_file())

ScopeSpans: Final[Any] = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.ScopeSpans"))
