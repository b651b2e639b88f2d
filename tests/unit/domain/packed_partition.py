"""A partition's changelog as a broker keeps it, and what workers write to it, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stream_app.domain.state import packed_log
from stream_app.domain.state.keys import NEVER
from stream_app.domain.state.packed_log import GroupKind, PackedLog, PackedPart


class Changelog:
    """Records by offset; those before `begin` are deleted."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.begin = 0
        self._groups = 0

    def append(self, record: tuple[bytes, bytes]) -> int:
        self.records.append(record)
        return len(self.records) - 1

    def new_group(self) -> str:
        self._groups += 1
        return f"w-{self._groups}"

    def restore(
        self,
        state: Any,
        *,
        begin: int | None = None,
        snapshots: bool = True,
        base: int | None = None,
    ) -> Any:
        """Make a state of all there is, or of the changes from offset 0 on alone.

        One that holds all before `begin` already is of the version `base`.
        """
        start = self.begin if begin is None else begin
        log = PackedLog()
        for offset, (key, value) in enumerate(self.records[start:], start):
            if not snapshots and key.startswith(b"s"):
                continue
            log.take(offset, key, value)
        for part in log.plan(start, base):
            state.apply(part.version, part.rows)
        state.restored()
        return state


class Owner:
    """What a worker knows of a partition's changelog: its snapshots cover no more than that."""

    def __init__(self, log: Changelog) -> None:
        self.log = log
        self.known = len(log.records) - 1
        self.covered = NEVER
        self._beyond: set[int] = set()

    def wrote(self, *offsets: int) -> None:
        self._beyond.update(offsets)
        while self.known + 1 in self._beyond:
            self.known += 1

    def take_back(self, state: Any) -> bool:
        """Bring a state up to the log's end that others have written to; False: it is lost."""
        if self.known + 1 < self.log.begin:
            return False
        state.roll_back()
        self.log.restore(state, begin=self.known + 1, base=state.progress_offset)
        self.known, self._beyond = len(self.log.records) - 1, set()
        return True

    def changes(self, version: int, rows: list[bytes]) -> list[tuple[bytes, bytes]]:
        return packed_log.changes(self.log.new_group(), version, rows)

    def snapshot(self, state: Any, size: int) -> Iterator[None]:
        """Write a snapshot, a record at a time."""
        covers, version, rows = self.known, state.progress_offset, state.progress_rows()
        group, number = self.log.new_group(), 0
        for slice_version, slice_rows in state.snapshot(size):
            part = PackedPart(0, NEVER, slice_version, slice_rows)
            self.wrote(self.log.append(packed_log.record(GroupKind.SNAPSHOT, group, number, part)))
            number += 1
            yield
        last = PackedPart(number + 1, covers, version, rows)
        self.wrote(self.log.append(packed_log.record(GroupKind.SNAPSHOT, group, number, last)))
        if self.covered != NEVER:
            self.log.begin = max(self.log.begin, self.covered + 1)
        self.covered = covers
