"""What an interrupted copy does with what is on its way."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from stream_app.kafka.history.copier import Copied, Copier, _Chunk


def copier(*sent: asyncio.Future[Any]) -> Copier:
    made = Copier.__new__(Copier)
    made.copied = Copied(following={})
    made._chunks = deque([_Chunk(Counter(hits=3), {}, list(sent))])
    return made


async def test_an_interrupt_cancels_no_batch_that_is_already_sent() -> None:
    """Otherwise the broker gets it, but it counts as not copied, and a resumed copy repeats it."""
    batch = asyncio.get_running_loop().create_future()
    copy = copier(batch)
    waiting = asyncio.create_task(copy._acknowledged())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not batch.cancelled()
    batch.set_result(None)
    copy._settle()
    assert copy.copied.records == {"hits": 3}


async def test_a_batch_that_the_broker_does_not_take_ends_the_copy() -> None:
    batch = asyncio.get_running_loop().create_future()
    batch.set_exception(KafkaError("no"))
    with pytest.raises(KafkaError, match="no"):
        await copier(batch)._acknowledged()
