"""Which deliveries the configuration cancels, and that a view which is behind cancels none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import FAILED_SHARE, IntegrationStatus
from stream_app.domain.delivery.partition_deliveries import DeliveryRules, PartitionDeliveries
from stream_app.domain.delivery.records import Cancel, Delivery, encode_delivery
from stream_app.domain.delivery.transitions import new_state
from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.configuration import catching_up
from stream_app.kafka.configuration.view import Configuration
from stream_app.notifier.reconcile import Reconciler

INTEGRATION = Integration(521, 1111, "", True, "opsgenie", "", "", (), epoch=7, enabled_at=7)
STATUS = IntegrationStatus(521, 1111, True, FAILED_SHARE, 7, 17, 17, 12, 1)
TOPICS = ("deliveries", "results")


class Reader:
    def __init__(self) -> None:
        self.configuration = Configuration()
        #: What the next calls of `catch_up` bring; False: the reader is behind.
        self.to_come: list[Integration | Exception | bool] = []
        self.callbacks: list[Any] = []

    def subscribe(self, callback: Any) -> None:
        self.callbacks.append(callback)

    async def catch_up(self, _seconds: float) -> bool:
        found = self.to_come.pop(0) if self.to_come else True
        if isinstance(found, Integration):
            self.configuration.integrations = {found.id: found}
        if isinstance(found, Exception):
            raise found
        return found is not False


class Bench:
    def __init__(self) -> None:
        self.reader, self.written = Reader(), list[tuple[int, Cancel]]()
        self.tasks: list[asyncio.Task[None]] = []
        self.is_current = True
        self.states = {2: PartitionDeliveries(TOPICS, DeliveryRules())}
        delivery = Delivery("a/521", "a", 1111, 521, "", "", {}, epoch=7)
        self.states[2].add_delivery(new_state(delivery, encode_delivery(delivery), 1, 1))
        app: Any = SimpleNamespace(
            ownership=SimpleNamespace(is_current=lambda _: self.is_current),
            add_future=lambda coro: self.tasks.append(asyncio.ensure_future(coro)),
        )
        table: Any = SimpleNamespace(states=self.states, generation=3)
        self.reconciler = Reconciler(
            app,
            self.reader,
            table,
            self.write,
        )

    async def write(self, partition: int, command: Cancel) -> None:
        self.written.append((partition, command))

    async def check(self) -> list[tuple[int, str]]:
        self.reconciler.check({521})
        await asyncio.gather(*self.tasks)
        return [(partition, command.reason) for partition, command in self.written]


async def test_an_integration_in_use_keeps_its_deliveries() -> None:
    bench = Bench()
    bench.reader.configuration.integrations = {521: INTEGRATION}
    assert await bench.check() == []
    assert bench.tasks == []


async def test_an_integration_that_a_person_turns_off_loses_its_deliveries() -> None:
    bench = Bench()
    inactive = msgspec.structs.replace(INTEGRATION, active=False)
    bench.reader.configuration.integrations = {521: inactive}
    assert await bench.check() == [(2, "integration_disabled")]
    assert bench.written[0][1] == Cancel(1111, 521, bench.written[0][1].reason, 7)


async def test_an_integration_that_the_system_disables_loses_them_until_it_is_enabled() -> None:
    bench = Bench()
    bench.reader.configuration.integrations = {521: INTEGRATION}
    bench.reader.configuration.statuses = {521: STATUS}
    assert await bench.check() == [(2, "integration_disabled")]
    enabled = msgspec.structs.replace(INTEGRATION, enabled_at=8)
    bench.reader.configuration.integrations = {521: enabled}
    bench.written.clear()
    assert await bench.check() == []


async def test_a_deleted_integration_loses_its_deliveries() -> None:
    assert await Bench().check() == [(2, "integration_deleted")]


async def test_an_invalid_integration_does_not_count_as_deleted() -> None:
    bench = Bench()
    bench.reader.configuration.invalid_integrations = frozenset({521})
    assert await bench.check() == []


async def test_an_integration_applied_a_moment_ago_does_not_count_as_deleted() -> None:
    bench = Bench()
    bench.reader.to_come = [INTEGRATION]
    assert await bench.check() == []
    assert len(bench.tasks) == 1


@pytest.mark.parametrize("behind", [None, KafkaUnreachableError("away")])
async def test_nothing_is_cancelled_before_all_of_the_configuration_is_read(
    behind: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
    bench = Bench()
    bench.reader.to_come = [behind or False, behind or False, INTEGRATION]
    assert await bench.check() == []
    assert bench.reader.to_come == []
    bench.reader.configuration.integrations = {}
    bench.reader.to_come = [behind or False, behind or False]
    assert await bench.check() == [(2, "integration_deleted")]


async def test_a_worker_that_has_lost_the_partitions_writes_nothing() -> None:
    bench = Bench()
    bench.is_current = False
    assert await bench.check() == []


async def test_each_change_of_the_configuration_starts_a_check() -> None:
    bench = Bench()
    bench.reader.callbacks[0](bench.reader.configuration)
    await asyncio.gather(*bench.tasks)
    assert [command.reason for _, command in bench.written] == ["integration_deleted"]
