"""The state of an agent that keeps nothing but how far it has come."""

from __future__ import annotations

import orjson

from stream_app.domain.state.keys import NEVER, PROGRESS_KEY


class PartitionProgress:
    """How far one source partition has been worked on, and how much of it is acknowledged."""

    def __init__(self) -> None:
        self.offset = NEVER
        self.progress_offset = NEVER

    def confirm(self, offset: int) -> None:
        """Note that the broker has acknowledged everything up to `offset`."""
        self.progress_offset = max(self.progress_offset, offset)

    def restored(self) -> None:
        """Nothing more to do: what is behind the progress is read again."""

    def roll_back(self) -> None:
        """Go back to the acknowledged progress."""
        self.offset = self.progress_offset

    def rewrite(self) -> None:
        """Nothing more to do: the next flush writes all there is."""

    def progress_of(self, _topic: str) -> int:
        """Return the last source offset whose effects the broker has acknowledged."""
        return self.progress_offset

    def record(self, offset: int) -> tuple[bytes, bytes]:
        """Return the changelog record of a progress."""
        return PROGRESS_KEY, orjson.dumps((offset,))

    def restore(self, _key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog; of two the one that is further holds."""
        if value is not None:
            self.confirm(orjson.loads(value)[0])
            self.roll_back()
