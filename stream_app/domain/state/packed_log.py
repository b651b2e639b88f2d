"""Packed records of a changelog: all changes of a flush at once, and whole states.

A *group* is the changes of one flush, or one snapshot. It is one record or several (*parts*), and
the last part has their number. A group that is not whole was cut short by a crash and is skipped.
Each part has a *version*: the source offset up to which it counts everything. Of two versions of
one value the larger one holds, in whatever order they were written.

A snapshot *covers* the changelog up to an offset that was taken before its first part was made. The
state is the newest whole snapshot and the changes after that offset. Changes that come while the
snapshot is written are after it, too, so its parts may have different versions. A snapshot never
hides newer state: one from a worker that had lost its partition covers only what that worker had
read, and the new owner's values have larger versions.

No key occurs twice, so compaction removes nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise

import msgspec

from stream_app.domain.errors import NewerFormatError, UnreadableStateError
from stream_app.domain.formats import reads_up_to
from stream_app.domain.state.keys import NEVER

#: Version of the form, the first byte of each value.
FORM = 2
#: The end of each key of a packed record; all others are foreign.
KEY_END = b"|a newer stream-app keeps this state: stop all workers of older versions"
#: Bytes before the body: the form and the checksum.
HEAD = 5


class GroupKind(StrEnum):
    """Kinds of groups, by the first letter of their keys."""

    CHANGES = "c"
    SNAPSHOT = "s"
    #: Older versions begin a changelog with one. It holds nothing.
    MARK = "m"


class PackedPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one record holds.

    `parts` is how many parts the group has, and 0 on all but the last. `covers` is the changelog
    offset up to which a snapshot replaces the log, and -1 for changes. `rows` is the state's own.
    """

    parts: int
    covers: int
    version: int
    rows: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedPart).decode

KeyValue = tuple[bytes, bytes]


def record(kind: GroupKind, group: str, number: int, part: PackedPart) -> KeyValue:
    """Return key and value of a part, the `number`th of its group."""
    key = f"{kind}.{group}.{number}".encode() + KEY_END
    body = _encode(part)
    return key, bytes([FORM]) + zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "big") + body


def changes(group: str, version: int, rows: Sequence[bytes]) -> list[KeyValue]:
    """Return the records of a flush's changes: at least one, even without a change."""
    found = list(rows) or [b""]
    last = len(found) - 1
    return [
        record(
            GroupKind.CHANGES,
            group,
            n,
            PackedPart(len(found) if n == last else 0, NEVER, version, one),
        )
        for n, one in enumerate(found)
    ]


class _Group:
    """The parts of a group that have been read."""

    def __init__(self, offset: int) -> None:
        self.first = self.last = offset
        self.parts: dict[int, PackedPart] = {}
        #: Where each part is.
        self.places: dict[int, int] = {}
        self.size = 0
        self.covers = NEVER

    def take(self, offset: int, number: int, part: PackedPart) -> None:
        self.last = max(self.last, offset)
        self.parts[number] = part
        self.places[number] = offset
        if part.parts:
            self.size, self.covers = part.parts, part.covers

    @property
    def is_whole(self) -> bool:
        return 0 < self.size == len(self.parts)

    def gaps(self) -> Iterator[tuple[int, int, int]]:
        """Yield between which offsets a snapshot's missing parts were written, and how many.

        A part is written when the one before it is acknowledged, and the first one after the offset
        that the snapshot covers.
        """
        places = sorted(self.places.items())
        if self.size:
            places.insert(0, (-1, self.covers))
        for (before, low), (after, high) in pairwise(places):
            if missing := after - before - 1:
                yield low, high, missing


class PackedLog:
    """The records read from one partition's changelog, and the parts that make its state."""

    def __init__(self) -> None:
        self._changes: dict[bytes, _Group] = {}
        self._snapshots: dict[bytes, _Group] = {}
        self._best: _Group | None = None
        self._damaged: list[tuple[int, str]] = []
        #: First and last offset, and reason, of batches that cannot be decoded at all.
        self._unreadable: list[tuple[int, int, str]] = []
        #: Records that were skipped: foreign ones, and parts of damaged snapshots.
        self.passed_over = 0
        #: The largest version of any part.
        self.newest_version = NEVER

    def take(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take a record, and pass over one that is not packed.

        Raises:
            NewerFormatError: a newer version has written it.
        """
        kind, group, number = _parse_key(key or b"")
        if key is None or kind is None or kind is GroupKind.MARK:
            self.passed_over += kind is None
            return
        part = self._part(offset, kind, key, value)
        if part is None:
            return
        self.newest_version = max(self.newest_version, part.version)
        groups = self._snapshots if kind is GroupKind.SNAPSHOT else self._changes
        found = groups.get(group)
        if found is None:
            found = groups[group] = _Group(offset)
        found.take(offset, number, part)
        if kind is GroupKind.SNAPSHOT and found.is_whole:
            self._note_whole(group, found)

    def note_unreadable(self, first: int, last: int, why: str) -> None:
        """Note offsets whose records cannot be read at all.

        A snapshot may cover them, or they are parts of a snapshot, which is then never whole.
        """
        self._unreadable.append((first, last, why))

    def _lost(self) -> Iterator[tuple[int, int, str]]:
        """Yield the unreadable offsets that may have held changes and that no snapshot covers.

        If a snapshot misses exactly as many parts between two readable ones as there are unreadable
        records in that place, these records are its parts.
        """
        rows = [row for row in self._unreadable if row[1] > self.covered]
        parts = set()
        for low, high, missing in (gap for one in self._snapshots.values() for gap in one.gaps()):
            inside = [row for row in rows if low < row[0] and row[1] < high]
            if missing == sum(last - first + 1 for first, last, _ in inside):
                parts.update(inside)
        return (row for row in rows if row not in parts)

    def _part(
        self, offset: int, kind: GroupKind, key: bytes, value: bytes | None
    ) -> PackedPart | None:
        problem = "it is empty"
        if value:
            form, body = value[0], value[HEAD:]
            checksum = zlib.crc32(body, zlib.crc32(key)).to_bytes(4, "big")
            if form > FORM:
                raise NewerFormatError(
                    f"offset {offset} has format {form}, {reads_up_to(FORM)}. A newer stream-app "
                    "has written it: run that version (deploy/upgrading.md)"
                )
            try:
                if form == FORM and value[1:HEAD] == checksum:
                    return _decode(body)
                problem = "its checksum is wrong"
            except msgspec.MsgspecError as error:
                problem = str(error)
        if kind is GroupKind.SNAPSHOT:
            self.passed_over += 1  # it is never whole, so the snapshot before it holds
        else:
            self._damaged.append((offset, problem))  # a snapshot may cover it
        return None

    def _note_whole(self, name: bytes, group: _Group) -> None:
        """Keep the snapshot that covers most, and drop the changes that it covers."""
        del self._snapshots[name]
        if self._best is not None and self._best.covers >= group.covers:
            return
        self._best = group
        self._changes = {n: g for n, g in self._changes.items() if g.last > group.covers}
        self._damaged = [row for row in self._damaged if row[0] > group.covers]

    def plan(self, begin: int, base: int | None) -> list[PackedPart]:
        """Return the parts that make the state, in the order in which to apply them.

        Args:
            begin: the first offset that was read, or that the log still has.
            base: the version of a state that exists already and holds everything before `begin`, or
                None. Even then a snapshot is used, because the changes that it covers are not kept.

        Raises:
            UnreadableStateError: something is missing that no whole snapshot covers.
        """
        best, covered = self._best, self.covered
        if base is None and covered + 1 < begin:
            raise UnreadableStateError(
                f"the records before offset {begin} are deleted, and no whole snapshot stands for "
                "them"
            )
        for offset, why in self._damaged:
            if offset > covered:
                raise UnreadableStateError(
                    f"offset {offset} cannot be read ({why}), and no whole snapshot stands for it"
                )
        if lost := next(self._lost(), None):
            first, last, why = lost
            where = f"offset {first}" if first == last else f"offsets {first} to {last}"
            raise UnreadableStateError(
                f"{where} cannot be read ({why}), and no whole snapshot stands for what was there"
            )
        found = list(best.parts.values()) if best is not None else []
        for group in self._changes.values():
            if group.is_whole and group.last > covered:
                found += [part for _, part in sorted(group.parts.items())]
        if base is not None:
            found = [part for part in found if part.version > base]
        return sorted(found, key=lambda part: part.version)

    @property
    def snapshot_bytes(self) -> int:
        """Size of the newest whole snapshot."""
        if self._best is None:
            return 0
        return sum(len(part.rows) for part in self._best.parts.values())

    @property
    def covered(self) -> int:
        """The changelog offset up to which the newest whole snapshot covers, -1 without one."""
        return self._best.covers if self._best is not None else NEVER


def _parse_key(key: bytes) -> tuple[GroupKind | None, bytes, int]:
    if not key.endswith(KEY_END):
        return None, b"", 0
    kind, _, rest = key.removesuffix(KEY_END).partition(b".")
    group, _, number = rest.rpartition(b".")
    try:
        return GroupKind(kind.decode()), group, int(number)
    except ValueError:
        return None, b"", 0
