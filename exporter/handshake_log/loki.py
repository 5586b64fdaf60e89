"""Lines out of the bodies of Grafana Loki's push API; pure.

``POST /loki/api/v1/push`` as Promtail, Alloy and Vector send it: JSON, or ``logproto.PushRequest``
(pkg/push/push.proto of Loki 3) compressed as one raw snappy block.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message


class BodyError(ValueError):
    """A pushed body is not what it should be; its text is a sentence for the sender."""


def lines_of_json(body: bytes) -> list[bytes]:
    """Return the lines of ``{"streams": [{"stream": {}, "values": [["ns", "line"], …]}]}``.

    Raises:
        BodyError: it has another shape.
    """
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise BodyError(f"the body is not JSON: {exc}") from exc
    streams = parsed.get("streams") if isinstance(parsed, dict) else None
    if not isinstance(streams, list):
        raise BodyError('the body has no list "streams"; see the Loki push API')
    return list(_lines_of_streams(streams))


def _lines_of_streams(streams: list[Any]) -> Iterator[bytes]:
    for position, stream in enumerate(streams):
        values = stream.get("values") if isinstance(stream, dict) else None
        if not isinstance(values, list):
            raise BodyError(f'streams[{position}] has no list "values"')
        for value in values:
            if not isinstance(value, list) or len(value) < 2 or not isinstance(value[1], str):
                raise BodyError(f'streams[{position}].values holds no ["nanoseconds", "line"]')
            yield value[1].encode("utf-8", "replace")


def lines_of_protobuf(body: bytes, *, most_bytes: int) -> list[bytes]:
    """Return the lines of a compressed ``PushRequest`` that unpacks to ``most_bytes`` at most.

    Raises:
        BodyError: it is damaged or too large.
    """
    try:
        unpacked_bytes = cramjam.snappy.decompress_raw_len(body)
        if unpacked_bytes > most_bytes:
            raise BodyError(
                f"the body unpacks to {unpacked_bytes} bytes; {most_bytes} are allowed"
            )
        data = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as exc:
        raise BodyError(f"the body is not one raw snappy block: {exc}") from exc
    request: Any = _push_request()
    try:
        request.ParseFromString(data)
    except DecodeError as exc:
        raise BodyError(f"the body is no PushRequest: {exc}") from exc
    return [entry.line for stream in request.streams for entry in stream.entries]


def joined(lines: Iterable[bytes]) -> bytes:
    r"""Return ``lines`` as whole lines, each ending in a newline.

    A newline inside of one would make two; it becomes ``\\n``, as nginx writes it.
    """
    return b"".join(line.rstrip(b"\r\n").replace(b"\n", rb"\n") + b"\n" for line in lines)


def _push_request() -> Message:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName("loki.PushRequest"))()


def _pool() -> descriptor_pool.DescriptorPool:
    # Written here rather than generated: three messages, of which two fields are read. ``bytes``
    # where Loki says ``string``: the wire is the same, and a line need not be UTF-8.
    file = descriptor_pb2.FileDescriptorProto(name="loki.proto", package="loki", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    fields = {
        "Entry": [("line", 2, kinds.TYPE_BYTES, kinds.LABEL_OPTIONAL, "")],
        "Stream": [("entries", 2, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, ".loki.Entry")],
        "PushRequest": [("streams", 1, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, ".loki.Stream")],
    }
    for name, members in fields.items():
        message = file.message_type.add(name=name)
        for member, number, kind, label, type_name in members:
            message.field.add(
                name=member, number=number, type=kind, label=label, type_name=type_name or None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()
