"""Finished deliveries, remembered for a week, so that none is sent again.

A million of them must fit into memory. Only how and in which hour a delivery ended is kept, in one
object for all deliveries that ended alike. The ids of this project have the form
`<prefix><32 hex digits>/<integration>`. The ids of one alert kind and integration differ only in
the digits, which are kept as a number. An id of any other form is kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from stream_app.domain.delivery.state import DeliveryState, DeliveryStatus
from stream_app.domain.times import HOUR_MS

#: How long a finished delivery is remembered after its last result.
REMEMBER_MS: Final = 7 * 24 * HOUR_MS
_DIGITS: Final = 32  # as in the formats below


class FinishedDelivery(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a delivery ended.

    `attempt` is the last attempt, `redrives` how often the delivery came back from the dead
    letters, `hour` the hour of the end (Unix), and `reason` why it is a dead letter, or empty.
    """

    status: DeliveryStatus
    attempt: int
    redrives: int
    hour: int
    reason: str

    @property
    def is_finished(self) -> bool:
        """Whether no further attempt is made."""
        return True

    @property
    def order(self) -> tuple[int, bool, int]:
        """What orders the states of one delivery; it never decreases."""
        return self.redrives, True, self.attempt


#: What is known of a delivery.
KnownDelivery = DeliveryState | FinishedDelivery

#: The changelog value of a finished delivery.
encode_finished = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FinishedDelivery).decode
#: Begins that value. The value of a pending one is an object, and
#: older versions wrote an object for finished ones, too.
_RECORD_PREFIX: Final = b"["

#: The family of all ids of another form: they have nothing in common.
_NO_FAMILY: Final = b""


def _split_id(delivery_id: bytes) -> tuple[bytes, int | bytes]:
    """Split an id into its family, which is the part that it shares with others, and the rest."""
    slash = delivery_id.rfind(b"/")
    digits = delivery_id[max(slash - _DIGITS, 0) : slash]
    try:
        number = int(digits, 16)
    except ValueError:
        return _NO_FAMILY, delivery_id
    if b"%032x" % number != digits:
        return _NO_FAMILY, delivery_id
    return delivery_id[: slash - _DIGITS] + delivery_id[slash:], number


def _join_id(family: bytes, rest: int | bytes) -> str:
    if isinstance(rest, bytes):
        return rest.decode()
    slash = family.rfind(b"/")
    return (family[:slash] + b"%032x" % rest + family[slash:]).decode()


class FinishedDeliveries:
    """Finished deliveries by id, roughly in the order in which they finished."""

    def __init__(self) -> None:
        self._families: dict[bytes, dict[int | bytes, FinishedDelivery]] = {}
        #: By changelog value, so that equal values share one object.
        self._seen: dict[bytes, FinishedDelivery] = {}
        #: All deliveries that ended in this hour or before have been returned as expired.
        self._swept_hour = -1

    def __len__(self) -> int:
        """Return how many are remembered."""
        return sum(map(len, self._families.values()))

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        for family, members in self._families.items():
            for rest in members:
                yield _join_id(family, rest)

    def get(self, delivery_id: str) -> FinishedDelivery | None:
        """Return how a delivery ended; None: it is not remembered."""
        family, rest = _split_id(delivery_id.encode())
        members = self._families.get(family)
        return None if members is None else members.get(rest)

    def put_if_new(self, delivery_id: bytes, end: FinishedDelivery) -> bool:
        """Remember how a delivery ended, unless its id is known; return whether it was new."""
        family, rest = _split_id(delivery_id)
        members = self._families.get(family)
        if members is None:
            members = self._families[family] = {}
        elif rest in members:
            return False
        members[rest] = end
        if end.hour <= self._swept_hour:
            self._swept_hour = end.hour - 1
        return True

    def put(self, delivery_id: str, end: FinishedDelivery) -> None:
        """Remember how a delivery ended, in place of an earlier end."""
        self.pop(delivery_id)
        self.put_if_new(delivery_id.encode(), end)

    def pop(self, delivery_id: str) -> FinishedDelivery | None:
        """Forget a delivery; return how it ended."""
        family, rest = _split_id(delivery_id.encode())
        members = self._families.get(family)
        if members is None:
            return None
        end = members.pop(rest, None)
        if not members:
            del self._families[family]
        return end

    def expired(self, now_ms: int, most: int) -> list[str]:
        """Return at most `most` ids whose time is over; the next call returns the others."""
        hour = (now_ms - REMEMBER_MS) // HOUR_MS - 1
        if hour <= self._swept_hour:
            return []
        found: list[str] = []
        for family, members in self._families.items():
            for rest, end in members.items():
                if end.hour > hour:
                    break
                found.append(_join_id(family, rest))
                if len(found) == most:
                    return found
        self._swept_hour = hour
        self._seen = {value: end for value, end in self._seen.items() if end.hour > hour}
        return found

    # -- the changelog

    def end_of(self, state: DeliveryState) -> FinishedDelivery:
        """Return how a finished delivery ended."""
        hour = state.finished_ms // HOUR_MS
        return self._shared(
            FinishedDelivery(state.status, state.attempt, state.redrives, hour, state.reason)
        )

    def seen(self, value: bytes | None) -> FinishedDelivery | None:
        """Return what a changelog value says if an equal value was decoded before; else None."""
        return self._seen.get(value)  # type: ignore[arg-type]

    def decode(self, value: bytes) -> FinishedDelivery | None:
        """Decode the changelog value of a finished delivery; None: it has another form.

        Raises:
            msgspec.MsgspecError: it is damaged.
        """
        return self._shared(_decode(value)) if value.startswith(_RECORD_PREFIX) else None

    def _shared(self, end: FinishedDelivery) -> FinishedDelivery:
        return self._seen.setdefault(encode_finished(end), end)
