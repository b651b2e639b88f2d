"""The worker's command; its snapshots have two cells per record, and it dies where `DIE` says.

`DIE` is the number of snapshot records of the hits' cells after which it ends as by `kill -9`, or
`whole` for the end after the first closing record, before anything is deleted.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from stream_app.cli import main
from stream_app.domain.state.packed_log import PackedPart
from stream_app.kafka.engine import snapshots
from stream_app.kafka.engine.snapshots import Snapshots


def die_in_a_snapshot(place: str) -> None:
    write, seen = Snapshots._write_part, 0

    async def dying(
        self: Any,
        table: Any,
        partition: int,
        group: str,
        number: int,
        part: PackedPart,
        generation: int,
    ) -> bool:
        nonlocal seen
        done = await write(self, table, partition, group, number, part, generation)
        if "cells-hits" in table.changelog_topic_name:
            seen += 1
            if place == str(seen) or (place == "whole" and part.parts):
                os.kill(os.getpid(), signal.SIGKILL)
        return done

    Snapshots._write_part = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    snapshots.SLICE = 2
    snapshots.GAP_SECONDS = 1.0
    if place := os.environ.get("DIE"):
        die_in_a_snapshot(place)
    main()
