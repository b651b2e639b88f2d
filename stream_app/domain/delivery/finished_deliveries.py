"""Finished deliveries: remembered for a week, so that none is sent again, and many.

Of each is kept how it ended and in which hour, and that stands in memory once for all that ended
alike. The ids of this project are `<prefix><32 hex digits>/<integration>`: those of one alert kind
and integration share all but the digits, which are kept as a number. An id of any other form is
kept as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from stream_app.domain.delivery.records import DeliveryState, DeliveryStatus

HOUR_MS: Final = 3600 * 1000
#: A finished delivery is remembered this long after its last result, so that it is not sent again.
REMEMBER_MS: Final = 7 * 24 * HOUR_MS
_DIGITS: Final = 32  # as the formats below have


class Finished(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a delivery ended: after which attempt, redriven how often, in which hour (Unix), why.

    `reason` is why it is a dead letter.
    """

    status: DeliveryStatus
    attempt: int
    redrives: int
    hour: int
    reason: str

    @property
    def is_finished(self) -> bool:
        """Tell whether no further attempt is made."""
        return True

    @property
    def order(self) -> tuple[int, bool, int]:
        """Return what tells the newer of two states of one delivery: it never decreases."""
        return self.redrives, True, self.attempt


#: What is known of a delivery.
Known = DeliveryState | Finished

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Finished).decode
#: Begins the changelog record of a finished delivery; an older version wrote an object, as of one
#: that is pending.
_BEGIN: Final = b"["

#: What the ids of a family have in common: of other forms nothing.
_OTHERS: Final = b""


def _taken_apart(delivery_id: bytes) -> tuple[bytes, int | bytes]:
    """Return what an id shares with others, and what it does not."""
    slash = delivery_id.rfind(b"/")
    digits = delivery_id[max(slash - _DIGITS, 0) : slash]
    try:
        number = int(digits, 16)
    except ValueError:
        return _OTHERS, delivery_id
    if b"%032x" % number != digits:
        return _OTHERS, delivery_id
    return delivery_id[: slash - _DIGITS] + delivery_id[slash:], number


def _put_together(family: bytes, rest: int | bytes) -> str:
    if isinstance(rest, bytes):
        return rest.decode()
    slash = family.rfind(b"/")
    return (family[:slash] + b"%032x" % rest + family[slash:]).decode()


class Remembered:
    """Finished deliveries by id, about in the order in which they finished."""

    def __init__(self) -> None:
        self._families: dict[bytes, dict[int | bytes, Finished]] = {}
        #: By changelog value, so that equal ones are one object.
        self._ends: dict[bytes, Finished] = {}
        #: All that ended in this hour or before has been given out as expired.
        self._swept_hour = -1

    def __len__(self) -> int:
        """Return how many are remembered."""
        return sum(map(len, self._families.values()))

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        for family, members in self._families.items():
            for rest in members:
                yield _put_together(family, rest)

    def get(self, delivery_id: str) -> Finished | None:
        """Return how a delivery ended; None: it is not known."""
        family, rest = _taken_apart(delivery_id.encode())
        members = self._families.get(family)
        return None if members is None else members.get(rest)

    def add(self, delivery_id: bytes, end: Finished) -> bool:
        """Remember how a delivery ended, unless one of its id is; return whether none was."""
        family, rest = _taken_apart(delivery_id)
        members = self._families.get(family)
        if members is None:
            members = self._families[family] = {}
        elif rest in members:
            return False
        members[rest] = end
        if end.hour <= self._swept_hour:
            self._swept_hour = end.hour - 1
        return True

    def put(self, delivery_id: str, end: Finished) -> None:
        """Remember how a delivery ended last."""
        self.pop(delivery_id)
        self.add(delivery_id.encode(), end)

    def pop(self, delivery_id: str) -> Finished | None:
        """Forget a delivery; return how it ended."""
        family, rest = _taken_apart(delivery_id.encode())
        members = self._families.get(family)
        if members is None:
            return None
        end = members.pop(rest, None)
        if not members:
            del self._families[family]
        return end

    def expired(self, now_ms: int, most: int) -> list[str]:
        """Return ids whose time is over, at most so many: the others come with the next call."""
        hour = (now_ms - REMEMBER_MS) // HOUR_MS - 1
        if hour <= self._swept_hour:
            return []
        found: list[str] = []
        for family, members in self._families.items():
            for rest, end in members.items():
                if end.hour > hour:
                    break
                found.append(_put_together(family, rest))
                if len(found) == most:
                    return found
        self._swept_hour = hour
        self._ends = {value: end for value, end in self._ends.items() if end.hour > hour}
        return found

    # -- the changelog

    def of(self, state: DeliveryState) -> Finished:
        """Return what is remembered of a finished delivery."""
        hour = state.finished_ms // HOUR_MS
        return self._shared(
            Finished(state.status, state.attempt, state.redrives, hour, state.reason)
        )

    def known(self, value: bytes | None) -> Finished | None:
        """Return what a changelog record says that is equal to one before; None: there was none."""
        return self._ends.get(value)  # type: ignore[arg-type]

    def read(self, value: bytes) -> Finished | None:
        """Return what a changelog record says of a finished delivery; None: it is no such record.

        Raises:
            msgspec.MsgspecError: it is damaged.
        """
        return self._shared(_decode(value)) if value.startswith(_BEGIN) else None

    def _shared(self, end: Finished) -> Finished:
        return self._ends.setdefault(encode_finished(end), end)


def encode_finished(end: Finished) -> bytes:
    """Return how a delivery ended as it stands in the changelog."""
    return _encode(end)
