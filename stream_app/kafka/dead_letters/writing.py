"""Dead letters: the untouched bytes of what cannot be used, and the facts about it in headers.

Each source has one topic, `<topic>.dlq`. `HEADERS` below lists the headers; all values are UTF-8
text. They hold no API key, and no text of an event beyond the decoder's message.

A dead letter that has been redriven, or that somebody has dismissed, stays where it is. A *mark*
behind it, in the same partition, says so: a record with the same key, an empty value, and
`x-redriven-offset`. Headers of a record that have one of our names are left out, so that no
producer can write a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from stream_app import __version__
from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.events.parts_decoder import Rejected
from stream_app.domain.formats import LETTER_FORMAT, LETTER_FORMAT_HEADER
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send

Decodable = TypeVar("Decodable")

MAX_MESSAGE_CHARS = 512
#: These bounds keep a dead letter below what a topic takes by default (1 MiB with its headers). A
#: compressed record may hold more. The record itself stays in its own topic.
MAX_VALUE_BYTES = 900_000
MAX_KEY_BYTES = 50_000
MAX_OWN_HEADERS_BYTES = 30_000

#: Most digits of a number in a header: of a count, and of a time or an offset.
MAX_DIGITS = 7
MAX_LONG_DIGITS = 18

ATTEMPT_HEADER = "x-attempt"
EPOCH_HEADER = "x-epoch"
INTEGRATIONS_HEADER = "x-integration-ids"
REASON_HEADER = "x-error-reason"
REDRIVEN_HEADER = "x-redriven-offset"
SIZE_HEADER = "x-original-size"
TARGET_HEADER = "x-redriven-to"
LAST_OFFSET_HEADER = "x-original-last-offset"

#: Header -> what it says.
HEADERS = {
    "x-original-topic": "topic the record was read from",
    "x-original-partition": "its partition",
    "x-original-offset": "its offset",
    LAST_OFFSET_HEADER: "of a batch that cannot be read: the offset of its last record",
    "x-original-timestamp": "its timestamp, Unix milliseconds",
    SIZE_HEADER: "bytes of its value, where this one is cut short",
    "x-event-index": "place of the event in the record's array or lines; absent: all of it",
    "x-error-class": "kind of failure",
    REASON_HEADER: "one of a closed list, see the dead-letter metric",
    "x-error-message": "what is wrong, at most 512 characters",
    "x-app": "who sent it here",
    "x-app-version": "its version",
    LETTER_FORMAT_HEADER: "the format of these headers",
    ATTEMPT_HEADER: "how often it has been tried, from 1",
    EPOCH_HEADER: "of a redriven delivery: the epoch that its integration then had, Unix ms",
    INTEGRATIONS_HEADER: "of an alert: ids of those of its integrations that it is still for, with "
    "commas; absent: all of them",
    REDRIVEN_HEADER: "of a mark: offset of the letter before it that is done",
    TARGET_HEADER: "of a mark: where the letter has gone, as topic/partition/offset; dismissed: "
    "nowhere, nobody wants it sent",
}


def dead_letter_headers(
    record: Any,
    topic: str,
    partition: int,
    reason: DeadLetterReason,
    message: str,
    index: int | None = None,
    error_class: str = "RejectedEvent",
    integration_ids: Iterable[int] = (),
) -> list[tuple[str, bytes]]:
    """Return the headers of the dead letter of `record`; the record's own headers stay in front.

    An alert that is only for some of its integrations stays so through every redrive.
    """
    still_for = tuple(integration_ids) or integrations_of(record.headers)
    facts: list[tuple[str, object]] = [
        ("x-original-topic", topic),
        ("x-original-partition", partition),
        ("x-original-offset", record.offset),
        ("x-original-timestamp", record.timestamp),
        *([("x-event-index", index)] if index is not None else []),
        ("x-error-class", error_class),
        (REASON_HEADER, reason.value),
        ("x-error-message", message[:MAX_MESSAGE_CHARS]),
        ("x-app", "stream-app"),
        ("x-app-version", __version__),
        (LETTER_FORMAT_HEADER, LETTER_FORMAT),
        *([(INTEGRATIONS_HEADER, ",".join(map(str, still_for)))] if still_for else []),
    ]
    attempt = next((value for name, value in record.headers if name == ATTEMPT_HEADER), b"1")
    known = [(name, str(value).encode()) for name, value in facts]
    return [*_own_headers(record), *known, (ATTEMPT_HEADER, attempt or b"1")]


def attempt_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """Return how often a record has been tried: 1, and one more after each redrive."""
    return max(1, number_of(headers, ATTEMPT_HEADER, MAX_DIGITS - 1) or 1)


def epoch_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """Return the integration's epoch at a delivery's redrive; 0 if `route` has sent it."""
    return number_of(headers, EPOCH_HEADER) or 0


def integrations_of(headers: Sequence[tuple[str, bytes]]) -> tuple[int, ...]:
    """Return the integrations that an alert is still for; empty: all that it names."""
    text = next((value for known, value in headers if known == INTEGRATIONS_HEADER), None) or b""
    parts = text.split(b",")
    return tuple(int(p) for p in parts if p.isdigit() and len(p) <= MAX_LONG_DIGITS + 1)


def number_of(
    headers: Sequence[tuple[str, bytes]], name: str, digits: int = MAX_LONG_DIGITS
) -> int | None:
    """Return the number in a header; None if it is missing, too long or not a number."""
    text = next((value for known, value in headers if known == name), None) or b""
    return int(text) if text.isdigit() and len(text) <= digits else None


def _own_headers(record: Any) -> list[tuple[str, bytes]]:
    """Return the headers that the record came with, up to a size."""
    own: list[tuple[str, bytes]] = []
    size = 0
    for name, value in record.headers:
        size += len(name) + len(value or b"")
        if name not in HEADERS and size <= MAX_OWN_HEADERS_BYTES:
            own.append((name, value or b""))
    return own


def dead_letter(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
) -> Send:
    """Return a dead letter that its topic takes, however large or empty the record is."""
    key = None if key is None or len(key) > MAX_KEY_BYTES else key
    if value is not None and len(value) > MAX_VALUE_BYTES:
        size = (SIZE_HEADER, str(len(value)).encode())
        return Send(topic, key, value[:MAX_VALUE_BYTES], headers=[*headers, size])
    # A record needs a key or a value; one that has neither gets an empty value.
    return Send(topic, key, b"" if key is None and value is None else value, headers=headers)


def decoded(
    decode: Callable[[bytes], Decodable], value: bytes | None, too_large: str = ""
) -> Decodable:
    """Decode a record's value, which must fit into a dead letter.

    Raises:
        RejectedEventError: it is too large (for the reason `too_large`, if there is another one),
            cannot be decoded, or has another type.
    """
    value = value or b""
    if len(value) > MAX_VALUE_BYTES:
        why = f"it has {len(value)} bytes, more than {MAX_VALUE_BYTES}{too_large}"
        raise RejectedEventError(DeadLetterReason.TOO_LARGE, why)
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        raise RejectedEventError(DeadLetterReason.WRONG_TYPE, str(error)) from None
    except DECODE_ERRORS as error:
        raise RejectedEventError(DeadLetterReason.UNDECODABLE, str(error)) from None


def record_dead_letter(
    names: TopicNames,
    topic: Topic,
    partition: int,
    record: Any,
    reason: DeadLetterReason,
    message: str,
    **facts: Any,
) -> Send:
    """Return the dead letter of a record of a topic; `facts` are those of `dead_letter_headers`."""
    headers = dead_letter_headers(record, names(topic), partition, reason, message, **facts)
    return dead_letter(names.dead_letters(topic), record.key, record.value, headers)


def event_dead_letters(
    names: TopicNames, topic: Topic, partition: int, rejected: Sequence[tuple[Any, Rejected]]
) -> list[Send]:
    """Return the dead letters of the rejected parts of event records."""
    return [
        dead_letter(
            names.dead_letters(topic),
            record.key,
            part.value,
            dead_letter_headers(
                record, names(topic), partition, part.reason, part.message, part.index
            ),
        )
        for record, part in rejected
    ]


def unreadable_dead_letter(dead_letters_topic: str, batch: UnreadableBatch) -> Send:
    """Return the dead letter of a batch: its bytes as the topic has them, or only its place."""
    headers = dead_letter_headers(
        msgspec.structs.replace(batch, offset=batch.first_offset),
        batch.topic,
        batch.partition,
        DeadLetterReason.UNREADABLE_BATCH,
        f"offsets {batch.first_offset} to {batch.offset}: {batch.error}",
        error_class=batch.error_class,
    )
    headers.append((LAST_OFFSET_HEADER, str(batch.offset).encode()))
    value = batch.value
    if value is None or len(value) > MAX_VALUE_BYTES:
        value = b""
        headers.append((SIZE_HEADER, str(batch.size).encode()))
    return dead_letter(dead_letters_topic, None, value, headers)
