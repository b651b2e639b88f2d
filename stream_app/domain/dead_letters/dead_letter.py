"""A dead letter: its place, and whom it was meant for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from stream_app.domain.delivery.records import delivery_id
from stream_app.domain.errors import UsageError
from stream_app.domain.events.parts import DECODE_ERRORS
from stream_app.domain.foreign_text.printable import quoted


class DeadLetterKind(StrEnum):
    """The kind of record that a dead letter holds."""

    EVENT = "event"
    ALERT = "alert"
    DELIVERY = "delivery"


class Log(NamedTuple):
    """One partition of a topic, by its full name."""

    topic: str
    partition: int


class Place(NamedTuple):
    """Where a record lies; as text `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def log(self) -> Log:
        """The partition it lies in."""
        return Log(self.topic, self.partition)


def parse_place(text: str) -> Place:
    """Return the place that `topic/partition/offset` or `topic:partition:offset` names.

    Raises:
        UsageError: it names none.
    """
    topic, *numbers = text.split("/") if "/" in text else text.split(":")
    if not topic or len(numbers) != 2 or not all(is_number(number) for number in numbers):  # noqa: PLR2004 - partition and offset
        raise UsageError(
            f"{quoted(text)} is no place of a record: give it as `stream-app dlq list` prints it, "
            "topic/partition/offset"
        )
    return Place(topic, *map(int, numbers))


def is_number(text: str) -> bool:
    """Tell whether a text is an id or an offset: digits, no more than 64 bits may need."""
    return text.isascii() and text.isdigit() and len(text) < len(str(2**63))


class _Owner(msgspec.Struct):
    """The fields of any value that say whom it belongs to."""

    id: Any = None
    client_id: Any = None
    integration_id: Any = None
    integration_ids: Any = None


_NO_OWNER = _Owner()
_decode_owner = msgspec.json.Decoder(_Owner).decode


class DeadLetter(msgspec.Struct, frozen=True):
    """A dead letter. All times are Unix ms.

    `original` is the place of the record that failed, or None if the headers do not say.
    `event_index` is the position of an event in that record. `is_cut` says that the value is only
    a part of the record's. `still_for` are the integrations that an alert has not reached yet;
    empty: all of the alert's integrations.
    """

    kind: DeadLetterKind
    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    reason: str
    message: str
    attempt: int
    original: Place | None
    original_ms: int
    event_index: int | None = None
    is_cut: bool = False
    timestamp_type: int = 0
    still_for: tuple[int, ...] = ()

    @property
    def delivery_ids(self) -> tuple[str, ...]:
        """Ids of the deliveries that it is or, as an alert, becomes; none if it can't be read."""
        found = self._owner().id if self.kind is not DeadLetterKind.EVENT else None
        if not isinstance(found, str) or not found:
            return ()
        if self.kind is DeadLetterKind.DELIVERY:
            return (found,)
        return tuple(delivery_id(found, number) for number in self.integration_ids)

    @property
    def integration_ids(self) -> tuple[int, ...]:
        """The integrations that it is meant for; an event is meant for none."""
        if self.kind is DeadLetterKind.DELIVERY:
            number = _integer(self._owner().integration_id) or self._key_number()
            return () if number is None else (number,)
        if self.kind is DeadLetterKind.ALERT:
            numbers = self._owner().integration_ids
            ids = [n for n in numbers if _integer(n)] if isinstance(numbers, list) else []
            return tuple(n for n in ids if not self.still_for or n in self.still_for)
        return ()

    @property
    def client_id(self) -> int | None:
        """The client that it belongs to; None: that can't be read."""
        found = _integer(self._owner().client_id)
        return self._key_number() if found is None and self.kind is DeadLetterKind.ALERT else found

    def _owner(self) -> _Owner:
        try:
            return _decode_owner(self.value or b"")
        except DECODE_ERRORS:
            return _NO_OWNER

    def _key_number(self) -> int | None:
        text = (self.key or b"").decode("latin-1")
        return int(text) if is_number(text) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
