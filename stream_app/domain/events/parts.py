"""Splits a record's value: one JSON object, the elements of an array, or lines (NDJSON).

Each part has its untouched bytes, and the text to decode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import msgspec

from stream_app.domain.errors import DeadLetterReason
from stream_app.domain.events import long_arrays
from stream_app.domain.foreign_text.lone_surrogates import without_lone_surrogates

#: Errors of decoders on bytes that are no event. The last is for JSON that is nested too deeply.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

#: Raises `DECODE_ERRORS` on invalid JSON.
check_json = msgspec.json.Decoder(msgspec.Raw).decode
_parse_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: The next line that is not blank, after any white space.
_LINE = re.compile(rb"(?:\s*[\r\n])?([^\r\n]++)")
#: Most lines in one piece of a record.
_MAX_LINES = 500
#: A longer array is cut before it is taken apart.
LONG_ARRAY_BYTES = 128 * 1024


class Part(NamedTuple):
    """An event of a record: the text to decode, its untouched bytes, and where these begin.

    `opening` and the record's bytes from `start` on are a value that can be sent again.
    """

    text: bytes
    value: bytes
    start: int
    opening: bytes


class Piece:
    """Some neighbouring events of a record.

    `text` holds them as a value of its own, an array or lines. `is_whole` says that the record is
    this one event.
    """

    __slots__ = ("_find", "is_whole", "text")

    def __init__(
        self, text: bytes, find: Callable[[], Iterator[Part]], *, is_whole: bool = False
    ) -> None:
        self.text = text
        self._find = find
        self.is_whole = is_whole

    def parts(self) -> Iterator[Part]:
        """Yield each event."""
        return self._find()


def split(value: bytes) -> Iterator[Part]:
    """Yield each element of an array or each line, one by one: there may be a million of them."""
    for piece in pieces(value):
        if piece is not None:
            yield from piece.parts()


def pieces(value: bytes) -> Iterator[Piece | None]:
    """Yield the elements of an array or the lines, many at a time, in short steps.

    `None` is a pause in a longer step. The text to decode has replacement characters in place of
    lone surrogates.
    """
    text = b""
    for repaired in without_lone_surrogates(value):
        text = text + repaired if text else repaired
        yield None
    begin = text[: len(text) - len(text.lstrip()) + 1]
    if begin[-1:] == b"[" and (len(text) <= LONG_ARRAY_BYTES or _is_json(text)):
        if len(text) > LONG_ARRAY_BYTES:
            yield None
            for found in long_arrays.cut(text, len(begin)):
                yield None if found is None else _array_piece(text, value, *found)
            return
        try:
            elements = _parse_array(text)
        except DECODE_ERRORS:
            # It may be lines that are arrays, or no JSON at all: each line is decoded by itself.
            pass
        else:
            yield Piece(text, lambda: _located(elements, text, value, 0))
            return
    yield None
    stripped = text.rstrip()
    lines = _LINE.finditer(stripped)
    first = list(islice(lines, 2))
    if len(first) < 2 or _is_json(text):  # noqa: PLR2004 - one line is one event
        yield Piece(text, lambda: iter((Part(text, value, 0, b""),)), is_whole=True)
        return
    every = chain(first, lines)
    while some := list(islice(every, _MAX_LINES)):
        yield _lines_piece(stripped, value, some)


def _array_piece(text: bytes, value: bytes, start: int, end: int) -> Piece:
    array = b"[%b]" % text[start:end]
    return Piece(array, lambda: _located(_parse_array(array), text, value, start))


def _lines_piece(text: bytes, value: bytes, lines: Sequence[re.Match[bytes]]) -> Piece:
    def parts() -> Iterator[Part]:
        for line in lines:
            yield Part(line[1], value[line.start(1) : line.end()], line.start(1), b"")

    return Piece(text[lines[0].start(1) : lines[-1].end()], parts)


def _located(elements: list[msgspec.Raw], text: bytes, value: bytes, end: int) -> Iterator[Part]:
    for raw in elements:
        element = bytes(raw)
        start = text.index(element, end)
        end = start + len(element)
        yield Part(element, value[start:end], start, b"[")


def _is_json(text: bytes) -> bool:
    """Return whether the whole text is one JSON value, such as an event on several lines."""
    try:
        check_json(text)
    except DECODE_ERRORS:
        return False
    return True


_NULL = msgspec.Raw(b"null")


class _EnvelopeClient(msgspec.Struct):
    client_name: msgspec.Raw = _NULL


class _Client(msgspec.Struct):
    """The client that a refused text names. The values are not read: they may be large."""

    client_id: msgspec.Raw = _NULL
    client_name: msgspec.Raw = _NULL
    details: msgspec.Raw = _NULL

    def is_named(self) -> bool:
        named = [self.client_id, self.client_name]
        if bytes(self.details)[:1] == b"{":
            named.append(_parse_envelope_client(self.details).client_name)
        return any(bytes(value) != b"null" for value in named)


_parse_envelope_client = msgspec.json.Decoder(_EnvelopeClient).decode


_parse_client = msgspec.json.Decoder(_Client).decode


def refusal(text: bytes, error: Exception, *, needs_client: bool) -> tuple[DeadLetterReason, str]:
    """Return why a text is refused. Invalid JSON goes before a wrong type."""
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
