"""Reads the records of a file: JSON, an array, lines of either, or what `kcat -J` prints."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
import orjson

from stream_app.domain.events.parts import DECODE_ERRORS

_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


class InputRecord(NamedTuple):
    """A record of a file or a topic. What the input does not say is None.

    `timestamp` is the record's in Unix ms, -1 where it has none.
    """

    place: str
    topic: str | None
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str | None]
    timestamp: int | None = None


def file_records(stream: BinaryIO, name: str) -> Iterator[InputRecord]:
    """Yield the records of a file: JSON, an array, lines of them, or what `kcat -J` prints.

    Lines are read one by one. A document of several lines is read whole.
    """
    numbered = ((number, line) for number, line in enumerate(stream, 1) if not line.isspace())
    first = next(numbered, None)
    if first is None:
        return
    number, line = first
    if not _is_json(line):
        whole = line + b"".join(line for _, line in numbered)
        if _is_json(whole):
            yield from _of_text(whole, name)
            return
        lines = enumerate(whole.splitlines(), number)
        numbered = ((number, line) for number, line in lines if line.strip())
        first = next(numbered)
    for number, line in itertools.chain([first], numbered):
        yield from _of_text(line.strip(), f"{name}:{number}")


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except DECODE_ERRORS:
        return False
    return True


def _of_text(text: bytes, place: str) -> Iterator[InputRecord]:
    """Yield the records of one document; each element of an array is one."""
    if not text.lstrip().startswith(b"["):
        yield _item(text, place)
        return
    try:
        elements = _elements(text)
    except DECODE_ERRORS:
        yield _item(text, place)
        return
    for index, element in enumerate(elements):
        yield _item(bytes(element), f"{place}[{index}]")


def _item(text: bytes, place: str) -> InputRecord:
    """Return the record of a text: the text itself, or what an envelope of kcat holds."""
    plain = InputRecord(place, None, None, text, {})
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return plain
    if not isinstance(found, dict) or not isinstance(found.get("topic"), str):
        return plain
    if "payload" not in found and "value" not in found:
        return plain
    topic, payload = found["topic"], found.get("payload", found.get("value"))
    if "partition" in found and "offset" in found:
        place = f"{topic}/{found['partition']}/{found['offset']}"
    key, timestamp = found.get("key"), found.get("ts")
    return InputRecord(
        place,
        topic,
        key.encode() if isinstance(key, str) else b"" if "payload" in found else None,
        _bytes(payload),
        _headers(found.get("headers") or ()),
        timestamp if type(timestamp) is int else None,
    )


def _bytes(payload: object) -> bytes | None:
    if payload is None:
        return None
    return payload.encode(errors="replace") if isinstance(payload, str) else orjson.dumps(payload)


def _headers(flat: Sequence[str | None]) -> dict[str, str | None]:
    """Return the headers that kcat prints as name, value, name, value."""
    return {str(name): value for name, value in zip(flat[::2], flat[1::2], strict=False)}
