"""What states on Kafka share: keys of their changelog records, and the offset of nothing yet."""

from __future__ import annotations

#: The offset, or the time, of what has not come yet.
NEVER = -1
#: Changelog key of the progress; no cell has it, because a cell's key has a window.
PROGRESS_KEY = b"progress"

#: Key of the trigger's counts, and the start of the window (Unix seconds).
CellKey = tuple[str, int]


def cell_key_bytes(key: CellKey) -> bytes:
    """Return a cell's key as it stands in the changelog."""
    return f"{key[0]}|{key[1]}".encode()


def parse_cell_key(key: bytes) -> CellKey:
    """Return the cell key of a changelog key."""
    name, _, start = key.decode().rpartition("|")
    return name, int(start)
