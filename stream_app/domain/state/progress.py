"""The state of an agent that stores only its progress."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from stream_app.domain.state.keys import NEVER, PROGRESS_KEY


class PartitionProgress:
    """The last offset of one source partition that was processed, and that was acknowledged."""

    def __init__(self) -> None:
        self.offset = NEVER
        self.progress_offset = NEVER

    def advance(self, offset: int) -> None:
        """Note that the records up to an offset are taken."""
        self.offset = max(self.offset, offset)

    def cut(self) -> int:
        """Return what a flush acknowledges."""
        return self.offset

    def confirm(self, offset: int) -> None:
        """Note that the broker has acknowledged everything up to `offset`."""
        self.progress_offset = max(self.progress_offset, offset)

    def restored(self) -> None:
        """Do nothing: records after the progress are read again."""

    def roll_back(self) -> None:
        """Go back to the acknowledged progress."""
        self.offset = self.progress_offset

    def rewrite(self) -> None:
        """Do nothing: the next flush writes the whole state."""

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def records(self, _offset: int) -> Sequence[tuple[bytes, bytes | None]]:
        """Return nothing: only the progress is stored."""
        return ()

    def progress_record(self, offset: int) -> tuple[bytes, bytes]:
        """Return the changelog record of a progress."""
        return PROGRESS_KEY, orjson.dumps((offset,))

    def restore(self, _key: bytes, value: bytes | None) -> None:
        """Restore a record of the changelog. The largest offset holds."""
        if value is not None:
            self.confirm(orjson.loads(value)[0])
            self.roll_back()
