"""Protobuf classes from small tables: nothing is generated, and only the fields that we read are declared.

Texts and parts that are read rarely are declared as bytes: they stay raw until somebody looks inside. (A text of proto2
that is not UTF-8 would silently be read as bytes.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

Schema = Mapping[str, Mapping[str, tuple[int, str]]]
"""Message -> field -> (number, kind). A kind is protobuf's word or another message; a star before it repeats."""


def classes(name: str, schema: Schema) -> dict[str, Any]:
    """The classes of a schema, by message. Scalars know whether they were sent (`HasField`), as in proto2."""
    file = FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto2")
    for title, fields in schema.items():
        described = file.message_type.add(name=title)
        for field, (number, kind) in fields.items():
            described.field.append(_field(name, schema, field, number, kind))
    pool = DescriptorPool()
    pool.Add(file)
    return {title: GetMessageClass(pool.FindMessageTypeByName(f"{name}.{title}")) for title in schema}


def _field(package: str, schema: Schema, name: str, number: int, kind: str) -> FieldDescriptorProto:
    word = kind.lstrip("*")
    made = FieldDescriptorProto(name=name, number=number)
    made.label = FieldDescriptorProto.LABEL_REPEATED if kind[0] == "*" else FieldDescriptorProto.LABEL_OPTIONAL
    if word in schema:
        made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{word}"
    else:
        made.type = FieldDescriptorProto.Type.Value(f"TYPE_{word.upper()}")
    return made


__all__ = ["DecodeError", "Schema", "classes"]
