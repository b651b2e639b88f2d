"""Parses the lines that `kcat -J` prints back into records."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from stream_app.domain.errors import UsageError
from stream_app.domain.events.parts import DECODE_ERRORS


class KcatRecord(msgspec.Struct, gc=False):
    """One record. `timestamp` is in Unix ms, -1 where the line has none."""

    topic: str
    partition: int = 0
    offset: int = 0
    timestamp: int = msgspec.field(name="ts", default=-1)
    tstype: str = "logappend"
    payload: str | None = None
    #: A dead letter would need these; a replay writes none.
    key: ClassVar[None] = None
    headers: ClassVar[tuple[tuple[str, bytes], ...]] = ()

    @property
    def timestamp_type(self) -> int:
        """Kafka's number for the kind of the timestamp: 0 if the producer set it, 1 otherwise."""
        return int(self.tstype != "create")

    @property
    def value(self) -> bytes | None:
        """The record's bytes, except for those that kcat could not print as text."""
        return None if self.payload is None else self.payload.encode()


_decode = msgspec.json.Decoder(KcatRecord).decode


def parse_line(line: bytes) -> KcatRecord:
    """Return the record of a line.

    Raises:
        UsageError: the line is not one of `kcat -J`.
    """
    try:
        return _decode(line)
    except DECODE_ERRORS as error:
        raise UsageError(f"is no line of `kcat -J`: {error}") from None
