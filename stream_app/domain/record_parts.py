"""A record's value, taken apart: one JSON object, the elements of an array, or lines (NDJSON).

Parts come as they stand, untouched, and as text that a decoder takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.errors import DeadLetterReason

#: What decoders raise on bytes that are no event; the last, on JSON that is nested too deeply.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: Raises `DECODE_ERRORS` on what is no JSON value; only its form is looked at.
check_json = msgspec.json.Decoder(msgspec.Raw).decode
_parse_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_LINE = re.compile(rb"[^\r\n]+")
#: What may stand behind a backslash (group 1), or else the escape of half a surrogate pair.
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89a-fA-F])|\\[^u])"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class Part(NamedTuple):
    """An event of a record: the text to decode, its untouched bytes, and where these begin.

    `opening` is what makes a value of the record's rest from that place on.
    """

    text: bytes
    value: bytes
    start: int
    opening: bytes


def split(value: bytes) -> Iterator[Part]:
    """Yield each event of an array's elements or NDJSON's lines.

    One by one: a small compressed record may hold a million of them.

    Half surrogate pairs are JSON, and attackers send them, but the decoder refuses all of a text
    for one, even in a field that it skips. In the text to decode they are replacement characters,
    of the same length.
    """
    text = _ESCAPE.sub(lambda found: found[1] or rb"\ufffd", value) if b"\\u" in value else value
    if text.lstrip()[:1] == b"[":
        try:
            elements = _parse_array(text)
        except DECODE_ERRORS:
            # Lines that are arrays, or no JSON at all: the lines decide.
            pass
        else:
            yield from _located(elements, text, value)
            return
    lines = (line for line in _LINE.finditer(text) if not line[0].isspace())
    first = list(islice(lines, 2))
    if len(first) < 2 or _is_json(text):  # noqa: PLR2004 - one line is one event
        yield Part(text, value, 0, b"")
        return
    for line in chain(first, lines):
        yield Part(line[0], value[line.start() : line.end()], line.start(), b"")


def _located(elements: list[msgspec.Raw], text: bytes, value: bytes) -> Iterator[Part]:
    end = 0
    for raw in elements:
        element = bytes(raw)
        start = text.index(element, end)
        end = start + len(element)
        yield Part(element, value[start:end], start, b"[")


def _is_json(text: bytes) -> bool:
    """Tell whether the whole text is one JSON value (an event written over several lines).

    Only its form is looked at, as in fields that the decoder skips.
    """
    try:
        check_json(text)
    except DECODE_ERRORS:
        return False
    return True


class _Client(msgspec.Struct):
    """The client of something that is no event: its own, or that of an envelope."""

    client_id: Any = None
    client_name: Any = None
    details: Any = None

    def is_named(self) -> bool:
        named = [self.client_id, self.client_name]
        if isinstance(self.details, dict):
            named.append(self.details.get("client_name"))
        return any(value is not None for value in named)


_parse_client = msgspec.json.Decoder(_Client).decode


def refusal(text: bytes, error: Exception, *, needs_client: bool) -> tuple[DeadLetterReason, str]:
    """Return why a text is refused: it may have a wrong type in front and no end."""
    try:
        check_json(text)
    except DECODE_ERRORS as malformed:
        return DeadLetterReason.UNDECODABLE, str(malformed)
    if not isinstance(error, msgspec.ValidationError):
        return DeadLetterReason.UNDECODABLE, str(error)
    if not needs_client:
        return DeadLetterReason.WRONG_TYPE, str(error)
    try:
        has_client = _parse_client(text).is_named()
    except DECODE_ERRORS:
        has_client = True
    return (
        DeadLetterReason.WRONG_TYPE if has_client else DeadLetterReason.MISSING_CLIENT,
        str(error),
    )
