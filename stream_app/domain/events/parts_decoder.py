"""Decodes a record's value part by part: one JSON object, an array of them, or NDJSON.

A bad part is refused by itself and does not spoil its neighbours. Bounds keep a small compressed
record from taking much time or memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from stream_app.domain.errors import DeadLetterReason, RejectedEventError
from stream_app.domain.events import parts as record_parts
from stream_app.domain.events.parts import DECODE_ERRORS

#: A larger record is refused as a whole.
MAX_RECORD_BYTES = 4 * 1024 * 1024
#: After this many refused parts the rest of a record is one dead letter.
MAX_REFUSED_PARTS = 1_000
#: A larger event or notice is refused without decoding it: that would block the worker.
MAX_EVENT_BYTES = 512 * 1024

#: Decodes a value with many parts, or returns None when they must be decoded one by one.
AtOnce = Callable[[bytes], Sequence[Any] | None]


class Rejected(msgspec.Struct, frozen=True):
    """A part of a record that cannot be used.

    `index` is the position of the event in the record's array or lines, `None` for the whole
    record. `value` holds the untouched bytes of that part. If a record has very many refused
    events, the last ones are one part: `index` is then the position of the first of them, and
    `events` their number.
    """

    index: int | None
    value: bytes
    reason: DeadLetterReason
    message: str
    events: int = 1


class PartsDecoder:
    """Decodes record values part by part.

    Args:
        part_type: the struct of a part.
        needs_client: whether a part without `client_id` is refused for that reason.
        most_bytes: a larger part is refused without decoding it.
    """

    def __init__(
        self,
        part_type: type[msgspec.Struct],
        *,
        needs_client: bool = True,
        most_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._decode_one: Callable[[bytes], Any] = msgspec.json.Decoder(part_type).decode
        self._needs_client = needs_client
        self._most_bytes = most_bytes

    def decode_parts(self, value: bytes | None) -> tuple[list[tuple[int, Any]], list[Rejected]]:
        """Return the good events of a value as (index, event), and the refused parts."""
        good: list[tuple[int, Any]] = []
        refused: list[Rejected] = []
        for index, _, found in self.parts(value):
            if isinstance(found, Rejected):
                refused.append(found)
            else:
                good.append((index or 0, found))
        return good, refused

    def parts(self, value: bytes | None) -> Iterator[tuple[int | None, bytes, Any]]:
        """Yield each part as (index, its untouched bytes, what it decodes to or `Rejected`).

        The index is `None` where the record is one part. After `MAX_REFUSED_PARTS` refused parts
        the unread rest of the record comes last.
        """
        return (part for part in self.steps(value) if part is not None)

    def steps(
        self, value: bytes | None, at_once: AtOnce | None = None
    ) -> Iterator[tuple[int | None, bytes, Any] | None]:
        """Yield what `parts` yields, in short steps: `None` is a pause in a longer one.

        Args:
            value: the value of the record.
            at_once: decodes many parts at a time, which then come without their bytes.
        """
        if not value or value.isspace():
            empty = Rejected(
                None, value or b"", DeadLetterReason.UNDECODABLE, "the record has no value"
            )
            yield None, empty.value, empty
            return
        try:
            check_size(value)
        except RejectedEventError as error:
            yield None, value, Rejected(None, value, error.reason, str(error))
            return
        number = refused = 0
        found: Any = None
        for piece in record_parts.pieces(value):
            yield None
            if piece is None:
                continue
            if at_once is not None and (events := at_once(piece.text)) is not None:
                for event in events:
                    yield (None if piece.is_whole else number), b"", event
                    number += 1
                continue
            for part in piece.parts():
                if refused == MAX_REFUSED_PARTS:
                    rest = _rest(value, number, part, found)
                    yield number, rest.value, rest
                    return
                index = None if piece.is_whole else number
                found = self._decode_part(part, index)
                refused += isinstance(found, Rejected)
                yield index, part.value, found
                number += 1

    def _decode_part(self, part: record_parts.Part, index: int | None) -> Any:
        try:
            self._check_part_size(part.text)
            return self._decode_one(part.text)
        except DECODE_ERRORS as error:
            reason, message = record_parts.refusal(
                part.text, error, needs_client=self._needs_client
            )
            return Rejected(index, part.value, reason, message)
        except RejectedEventError as error:
            return Rejected(index, part.value, error.reason, str(error))

    def _check_part_size(self, text: bytes) -> None:
        if len(text) > self._most_bytes and len(text.strip()) > self._most_bytes:
            record_parts.check_json(text)
            raise RejectedEventError(
                DeadLetterReason.TOO_LARGE,
                f"it has {len(text.strip())} bytes, more than {self._most_bytes}",
            )


def check_size(value: bytes) -> None:
    """Refuse a record that would take too much time or memory.

    Raises:
        RejectedEventError: the record is larger than any batch of events should be.
    """
    if len(value) > MAX_RECORD_BYTES:
        raise RejectedEventError(
            DeadLetterReason.TOO_LARGE,
            f"the record has {len(value)} bytes, more than {MAX_RECORD_BYTES}: send less in one",
        )


def _rest(value: bytes, index: int, first: record_parts.Part, last: Rejected) -> Rejected:
    """Return the rest of a record, from the part `first` on, as a value that can be sent again."""
    message = (
        f"the rest of the record: {MAX_REFUSED_PARTS} parts before it are refused, "
        f"the last for: {last.message}"
    )
    return Rejected(index, first.opening + value[first.start :], DeadLetterReason.UNREAD, message)


def bounded(refused: Sequence[Rejected], more: Sequence[bytes] = ()) -> list[Rejected]:
    """Return the refused events of one record, in order, with a bound on their number.

    Those beyond the bound are joined into one array that can be sent again.

    Args:
        refused: the first refused events, at least one more than the bound if there are as many.
        more: the bytes of the events after them.
    """
    rest = refused[MAX_REFUSED_PARTS:]
    number = len(rest) + len(more)
    if number < 2:  # noqa: PLR2004 - one stands for itself
        return list(refused)
    first = rest[0]
    message = f"the first of {number} more events of the record: {first.message}"
    value = b"[" + b",".join([*(part.value for part in rest), *more]) + b"]"
    joined = Rejected(first.index, value, first.reason, message, number)
    return [*refused[:MAX_REFUSED_PARTS], joined]
