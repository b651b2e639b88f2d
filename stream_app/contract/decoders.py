"""Runs the workers' own decoders, and collects what they refuse. No problem shows raw bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import msgspec
import orjson

from stream_app.contract.records import EVENT_KINDS, RecordName
from stream_app.domain.alerts.alert import decode_alert
from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.configuration.clients import read_client
from stream_app.domain.configuration.fields import Problems
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.statuses import decode_status
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.counting.partial_counts import PartialCounts
from stream_app.domain.dead_letters.dead_letter import DeadLetterKind, parse_place
from stream_app.domain.dead_letters.dead_letter_index import DISMISSED
from stream_app.domain.delivery.records import decode_delivery, decode_result
from stream_app.domain.errors import DeadLetterReason, InvalidObjectError, RejectedEventError
from stream_app.domain.events.decoder import EventDecoder
from stream_app.domain.events.model import Event, EventKind
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import PartsDecoder, Rejected
from stream_app.domain.events.times import MAX_AHEAD_SECONDS, ahead_error, event_seconds
from stream_app.domain.notices.incoming import IncomingNotice, check_kind, notice_decoder
from stream_app.domain.notices.subscriptions import KNOWN_KINDS, Subscribers, subscription_of
from stream_app.kafka.dead_letters.reading import dead_letter_of, is_mark
from stream_app.kafka.dead_letters.writing import (
    ATTEMPT_HEADER,
    EPOCH_HEADER,
    MAX_DIGITS,
    MAX_LONG_DIGITS,
    REASON_HEADER,
    REDRIVEN_HEADER,
    SIZE_HEADER,
    TARGET_HEADER,
    number_of,
)

#: Headers of a dead letter that hold a number.
NUMBER_HEADERS = (
    "x-original-partition",
    "x-original-offset",
    SIZE_HEADER,
    "x-event-index",
    ATTEMPT_HEADER,
    EPOCH_HEADER,
    REDRIVEN_HEADER,
)
_TIMESTAMP_HEADER = "x-original-timestamp"
_TEXT_HEADERS = (
    "x-original-topic",
    REASON_HEADER,
    TARGET_HEADER,
    "x-error-class",
    "x-error-message",
    "x-app",
    "x-app-version",
)


class Refusal(NamedTuple):
    """A value that a decoder refuses, and why; an empty path means the whole record or part."""

    path: str
    value: object
    problem: str


#: (index in the record or None, bytes of the part, what is refused in it)
Decoded = tuple[int | None, bytes, list[Refusal]]


class Decoder(Protocol):
    """Yields each part of a value, with what is refused in it."""

    def __call__(self, value: bytes, timestamp: int | None = None) -> Iterator[Decoded]:
        """Decode a value; `timestamp` is its record's, Unix ms (-1: none; None: not known)."""
        ...


def decoder_of(name: RecordName, allowed_periods: Collection[int]) -> Decoder:
    """Return the decoder of a record's value; a dead letter's is its headers, as a JSON object."""
    if name in EVENT_KINDS:
        decoder = EventDecoder(EVENT_KINDS[name], _ANY_CLIENT)
        return partial(_events, decoder)
    if name is RecordName.NOTICE:
        return _without_time(partial(_parts, notice_decoder, _check_notice))
    read_configured: dict[RecordName, Callable[[dict[str, object]], tuple[object, Problems]]] = {
        RecordName.CLIENT: read_client,
        RecordName.TRIGGER: partial(read_trigger, allowed_periods=allowed_periods),
        RecordName.INTEGRATION: read_integration,
    }
    if name in read_configured:
        return _without_time(partial(_configured, read_configured[name]))
    if name is RecordName.DEAD_LETTER:
        return _without_time(_dead_letter)
    return _without_time(partial(_decoded, _DECODERS[name]))


def _without_time(read: Callable[[bytes], Iterator[Decoded]]) -> Decoder:
    """Return a decoder that ignores the timestamp."""
    return lambda value, timestamp=None: read(value)  # noqa: ARG005 - a decoder gets one


_DECODERS: dict[RecordName, Callable[[bytes], object]] = {
    RecordName.INTEGRATION_STATUS: decode_status,
    RecordName.COUNT: msgspec.json.Decoder(PartialCounts).decode,
    RecordName.ALERT: decode_alert,
    RecordName.DELIVERY: decode_delivery,
    RecordName.DELIVERY_RESULT: decode_result,
}


class _AnyClient(ClientNames):
    """Knows every name: the contract does not say which clients exist."""

    def client_id(self, name: str) -> int:  # noqa: ARG002 - the signature of its base
        """Return an id."""
        return 0

    def application_ids(self, client_id: int, names: Iterable[str]) -> tuple[int, ...]:  # noqa: ARG002
        """Return no id."""
        return ()


_ANY_CLIENT = _AnyClient({})


def _parts(decoder: PartsDecoder, check: Callable[[Any], None], value: bytes) -> Iterator[Decoded]:
    for index, part, found in decoder.parts(value):
        refusals = []
        try:
            if isinstance(found, Rejected):
                raise RejectedEventError(found.reason, found.message)  # noqa: TRY301 - one way for all
            check(found)
        except RejectedEventError as error:
            refusals.append(Refusal("", None, f"{error.reason}: {error}"))
        yield index, part, refusals


def _events(decoder: EventDecoder, value: bytes, timestamp: int | None = None) -> Iterator[Decoded]:
    """Decode events, whose clients need not be configured."""
    return _parts(decoder, partial(_check_time, decoder.kind, timestamp), value)


def _check_time(kind: EventKind, timestamp: int | None, event: Event) -> None:
    """Refuse a time that `count` refuses, by the record's timestamp."""
    if timestamp is None:
        return
    seconds = event_seconds(event, kind, timestamp)
    if seconds > timestamp // 1000 + MAX_AHEAD_SECONDS:
        raise ahead_error(seconds, timestamp)


_NO_SUBSCRIBERS = Subscribers({}, ())


def _check_notice(notice: IncomingNotice) -> None:
    """Refuse what `match` refuses under any configuration."""
    check_kind(notice)
    if notice.kind not in KNOWN_KINDS:
        return
    try:
        _NO_SUBSCRIBERS.client_of(notice)
    except RejectedEventError as error:
        if error.reason is not DeadLetterReason.UNKNOWN_CLIENT:
            raise
    subscription_of(notice)


def _decoded(decode: Callable[[bytes], object], value: bytes) -> Iterator[Decoded]:
    refusals = []
    try:
        decode(value)
    except DECODE_ERRORS as error:
        refusals.append(Refusal("", None, str(error)))
    yield None, value, refusals


def _configured(
    read: Callable[[dict[str, object]], tuple[object, Problems]], value: bytes
) -> Iterator[Decoded]:
    try:
        obj = _object(value)
        _, problems = read(obj)
    except InvalidObjectError as error:
        problems = [error]
    yield None, value, [Refusal(p.path, p.value, p.problem) for p in problems]


def _object(value: bytes) -> dict[str, object]:
    try:
        obj = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidObjectError("", None, f"is no JSON: {error}") from None
    if not isinstance(obj, dict):
        raise InvalidObjectError("", None, "is no JSON object")
    return obj


def _dead_letter(value: bytes) -> Iterator[Decoded]:
    try:
        problems = list(_wrong_headers(_object(value)))
    except InvalidObjectError as error:
        problems = [Refusal(error.path, error.value, error.problem)]
    yield None, value, problems


def _wrong_headers(texts: Mapping[str, object]) -> Iterator[Refusal]:
    """Yield the headers that the `dlq` commands could not use."""
    headers = [(name, text.encode()) for name, text in texts.items() if isinstance(text, str)]
    known = {*NUMBER_HEADERS, _TIMESTAMP_HEADER, *_TEXT_HEADERS}
    for name in sorted(known & texts.keys()):
        if not isinstance(texts[name], str):
            yield Refusal(name, texts[name], "must be a text")
    record = SimpleNamespace(
        topic="", partition=0, offset=0, timestamp=0, timestamp_type=0,
        key=None, value=None, headers=headers,
    )  # fmt: skip
    yield from _wrong_numbers(headers)
    if is_mark(record):
        yield from _wrong_mark(texts)
        return
    letter = dead_letter_of(record, DeadLetterKind.EVENT)
    if letter.original is None:
        yield Refusal("x-original-topic", None, "the headers don't say where it was read from")
    if letter.reason not in list(DeadLetterReason):
        yield Refusal("x-error-reason", letter.reason, "is no reason that is known")


def _wrong_numbers(headers: Sequence[tuple[str, bytes]]) -> Iterator[Refusal]:
    for name, text in headers:
        digits = MAX_DIGITS - 1 if name == ATTEMPT_HEADER else MAX_LONG_DIGITS
        has_none = name == _TIMESTAMP_HEADER and text == b"-1"
        is_number = name in (*NUMBER_HEADERS, _TIMESTAMP_HEADER) and not has_none
        if is_number and number_of([(name, text)], name, digits) is None:
            yield Refusal(name, text.decode(), "must be a number, as text")


def _wrong_mark(texts: Mapping[str, object]) -> Iterator[Refusal]:
    target = texts.get(TARGET_HEADER)
    if target == DISMISSED:
        return
    with contextlib.suppress(Exception):
        if "/" in str(target) and parse_place(str(target)):
            return
    yield Refusal(TARGET_HEADER, target, f"must be a place, topic/partition/offset, or {DISMISSED}")
