"""Runs the workers' own decoders, and collects what they refuse. No problem shows raw bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

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
    HEADERS,
    MAX_DIGITS,
    MAX_LONG_DIGITS,
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


class Refusal(NamedTuple):
    """A value that a decoder refuses, and why; an empty path means the whole record or part."""

    path: str
    value: object
    problem: str


#: (index in the record or None, bytes of the part, what is refused in it)
Decoded = tuple[int | None, bytes, list[Refusal]]
#: Yields each part of a value, with what is refused in it. The second argument is the timestamp of
#: the value's record, Unix ms (-1: none; None: not known).
Decoder = Callable[[bytes, int | None], Iterator[Decoded]]


def decoder_of(name: RecordName, allowed_periods: Collection[int]) -> Decoder:
    """Return the decoder of a record's value; a dead letter's is its headers, as a JSON object."""
    if name in EVENT_KINDS:
        return partial(_events, EventDecoder(EVENT_KINDS[name], _ANY_CLIENT))
    if name is RecordName.NOTICE:
        return lambda value, _: _parts(notice_decoder, _check_notice, value)
    readers: dict[RecordName, Callable[[dict[str, object]], tuple[object, Problems]]] = {
        RecordName.CLIENT: read_client,
        RecordName.TRIGGER: partial(read_trigger, allowed_periods=allowed_periods),
        RecordName.INTEGRATION: read_integration,
    }
    find: Callable[[bytes], Iterable[Refusal]]
    if name in readers:
        find = partial(_wrong_fields, readers[name])
    elif name is RecordName.DEAD_LETTER:
        find = _wrong_headers
    else:
        find = partial(_undecoded, _DECODERS[name])
    return lambda value, _: _whole(find, value)


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


def _events(decoder: EventDecoder, value: bytes, timestamp: int | None) -> Iterator[Decoded]:
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


def _whole(find: Callable[[bytes], Iterable[Refusal]], value: bytes) -> Iterator[Decoded]:
    """Yield a value as one part; what is refused in it is what `find` returns or raises."""
    try:
        refusals = list(find(value))
    except InvalidObjectError as error:
        refusals = [_refusal(error)]
    except DECODE_ERRORS as error:
        refusals = [Refusal("", None, str(error))]
    yield None, value, refusals


def _refusal(error: InvalidObjectError) -> Refusal:
    return Refusal(error.path, error.value, error.problem)


def _undecoded(decode: Callable[[bytes], object], value: bytes) -> Iterable[Refusal]:
    decode(value)
    return ()


def _wrong_fields(
    read: Callable[[dict[str, object]], tuple[object, Problems]], value: bytes
) -> Iterable[Refusal]:
    return map(_refusal, read(_object(value))[1])


def _object(value: bytes) -> dict[str, object]:
    try:
        obj = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidObjectError("", None, f"is no JSON: {error}") from None
    if not isinstance(obj, dict):
        raise InvalidObjectError("", None, "is no JSON object")
    return obj


def _wrong_headers(value: bytes) -> Iterator[Refusal]:
    """Yield the headers that the `dlq` commands could not use."""
    texts = _object(value)
    headers = [(name, text.encode()) for name, text in texts.items() if isinstance(text, str)]
    for name in sorted(HEADERS.keys() & texts.keys()):
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
