"""The progress of a broker that starts after a crash and reads the end of each partition again.

With much data that takes minutes, and the broker does not answer meanwhile. But its own log gets a
line for each segment.
"""

from __future__ import annotations

import re
from pathlib import Path

#: The Kafka logger that writes these lines.
RECOVERY_LOGGER = "org.apache.kafka.storage.internals.log.LogLoader"
LINE = re.compile(rf"{re.escape(RECOVERY_LOGGER)} - \[LogLoader partition=([^,\s]+)")
#: A partition's folder.
PARTITION = re.compile(r".+-\d+")


class LogRecovery:
    """Follows the log of one start.

    Args:
        log: the broker's log file.
        data: the data folder, which has a folder for each partition.
    """

    def __init__(self, log: Path, data: Path) -> None:
        self._log = log
        self._data = data
        self._read = 0
        self._rest = ""
        self._partitions: dict[str, None] = {}

    def has_moved(self) -> bool:
        """Read on in the log; tell whether the broker has begun another segment since then."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return False
        self._read += len(new)
        *lines, self._rest = (self._rest + new.decode(errors="replace")).split("\n")
        found = [line[1] for text in lines if (line := LINE.search(text))]
        self._partitions.update(dict.fromkeys(found))
        return bool(found)

    def __str__(self) -> str:
        """Return the progress, for a person."""
        try:
            total = sum(bool(PARTITION.fullmatch(path.name)) for path in self._data.iterdir())
        except OSError:
            total = 0
        read = len(self._partitions)
        newest = next(reversed(self._partitions), "none")
        return f"Kafka reads its log: partition {read} of {max(total, read)} ({newest})"
