"""Lines as `kcat -J` prints them, read back into records."""

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
    #: What a dead letter would have of the record; nobody reads a dead letter of a replay.
    key: ClassVar[None] = None
    headers: ClassVar[tuple[tuple[str, bytes], ...]] = ()

    @property
    def timestamp_type(self) -> int:
        """Kafka's number for whose time `timestamp` is; that of a line that does not say counts."""
        return int(self.tstype != "create")

    @property
    def value(self) -> bytes | None:
        """Its bytes: what could not be printed as text has been lost on the way."""
        return None if self.payload is None else self.payload.encode()


_decode = msgspec.json.Decoder(KcatRecord).decode


def parse_line(line: bytes) -> KcatRecord:
    """Return the record of a line.

    Raises:
        UsageError: it holds none.
    """
    try:
        return _decode(line)
    except DECODE_ERRORS as error:
        raise UsageError(f"is no line of `kcat -J`: {error}") from None
