"""The dead letters of batches that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from stream_app.domain.errors import DeadLetterReason
from stream_app.kafka.dead_letters.writing import (
    LAST_OFFSET_HEADER,
    MAX_VALUE_BYTES,
    dead_letter,
    dead_letter_headers,
)
from stream_app.kafka.records.unreadable_batches import UnreadableBatch
from stream_app.kafka.state.send import Send


def unreadable_letter(dead_letters_topic: str, batch: UnreadableBatch) -> Send:
    """Return the dead letter of a batch: its bytes as they lie on the topic, or its place alone."""
    shape: Any = msgspec.structs.replace(batch, offset=batch.first_offset)
    facts = dead_letter_headers(
        shape,
        batch.topic,
        batch.partition,
        DeadLetterReason.UNREADABLE_BATCH,
        f"offsets {batch.first_offset} to {batch.offset}: {batch.error}",
        error_class=batch.error_class,
    )
    headers: Sequence[tuple[str, bytes]] = [
        *facts,
        (LAST_OFFSET_HEADER, str(batch.offset).encode()),
    ]
    value = batch.value
    if value is None or len(value) > MAX_VALUE_BYTES:
        value, headers = b"", [*headers, ("x-original-size", str(batch.size).encode())]
    return dead_letter(dead_letters_topic, None, value, headers)
