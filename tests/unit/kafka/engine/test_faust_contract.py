"""What record batches and acknowledgements lean on inside Faust and aiokafka.

When one of these fails after an upgrade, read the new source before you change anything here:
`kafka/engine/consumer.py`, `flush_loop.py` and `kafka/state/state_table.py` stand on it.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import aiokafka
import aiokafka.consumer.fetcher
import faust
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.assignor.client_assignment import ClientAssignment, ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from intervaltree import IntervalTree

from stream_app.kafka.records.fetched_records import whole_records
from stream_app.kafka.records.fetcher import WholeFetchResult
from stream_app.kafka.records.partition_records import LeanPartitionRecords
from stream_app.kafka.sign_in import faust_credentials
from stream_app.kafka.sign_in.faust_credentials import KafkaSignIn
from stream_app.kafka.sign_in.sign_in import sign_in
from stream_app.setting_groups import KafkaSettings


def test_the_versions_are_those_that_were_read() -> None:
    assert faust.__version__.startswith("0.15."), "read the new Faust before you allow it"
    assert aiokafka.__version__.startswith("0.14."), "read the new aiokafka before you allow it"


def test_workers_of_two_versions_still_share_partitions_by_the_same_protocol() -> None:
    """If this fails, workers of the new Faust and of the old one cannot be in one group."""
    assignor = PartitionAssignor(SimpleNamespace(tables=None))
    assert (assignor.name, assignor.version) == ("faust", 4)
    assert list(ClientMetadata._options.fields) == [
        "assignment",
        "url",
        "changelog_distribution",
        "external_topic_distribution",
        "topic_groups",
    ]
    assert list(ClientAssignment._options.fields) == ["actives", "standbys"]


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Consumer._wait_next_records, ["self", "timeout"]),
        (Consumer.on_partitions_assigned, ["self", "assigned", "generation_id"]),
        (Consumer._add_gap, ["self", "tp", "offset_from", "offset_to"]),
        (Consumer._new_offset, ["self", "tp"]),
        (Consumer.perform_seek, ["self"]),
        (Consumer.on_buffer_full, ["self", "tp"]),
        (Consumer.on_buffer_drop, ["self", "tp"]),
        (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
        (driver.Consumer._new_consumer_thread, ["self"]),
        (GroupCoordinator._do_heartbeat, ["self"]),
        (
            LeanPartitionRecords.__mro__[1]._consumer_record,
            ["self", "tp", "record"],
        ),
        (
            aiokafka.AIOKafkaProducer._partition,
            ["self", "topic", "partition", "key", "value", "serialized_key", "serialized_value"],
        ),
        (aiokafka.AIOKafkaProducer.send_batch, ["self", "batch", "topic", "partition"]),
        (faust.App._on_agent_error, ["self", "agent", "exc"]),
        (faust.Table.persisted_offset, ["self", "tp"]),
        (Recovery._wait, ["self", "coro", "timeout"]),
        (Recovery._build_highwaters, ["self", "consumer", "tps", "destination", "title"]),
        (Recovery._build_offsets, ["self", "consumer", "tps", "destination", "title"]),
        (Recovery._seek_offsets, ["self", "consumer", "tps", "offsets", "title"]),
        (Recovery._slurp_changelogs.fun, ["self"]),
        (Recovery._publish_stats.fun, ["self"]),
    ],
)
def test_a_private_method_still_has_its_signature(function: Any, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_the_fetch_wait_is_still_an_attribute_of_the_consumer() -> None:
    assert "self._fetch_max_wait_ms = fetch_max_wait_ms" in inspect.getsource(
        aiokafka.AIOKafkaConsumer.__init__
    )


def test_what_a_consumer_reads_is_still_an_attribute_that_its_fetcher_is_made_of() -> None:
    source = inspect.getsource(aiokafka.AIOKafkaConsumer)
    assert "self._isolation_level = isolation_level" in source
    assert "isolation_level=self._isolation_level" in inspect.getsource(
        aiokafka.AIOKafkaConsumer.start
    )
    assert "tp_state.lso = lso" in inspect.getsource(aiokafka.consumer.fetcher.Fetcher)


def test_a_fetch_that_is_out_of_range_still_goes_through_the_state_of_its_partition() -> None:
    fetcher = inspect.getsource(aiokafka.consumer.fetcher.Fetcher)
    assert "tp_state.await_reset(self._default_reset_strategy)" in fetcher
    assert "tp_state.reset_to(offset)" in fetcher
    assert "TopicPartitionState(self)" in inspect.getsource(Assignment.__init__)


def test_the_coordinator_still_keeps_the_generation_of_its_group() -> None:
    source = inspect.getsource(GroupCoordinator)
    assert "self.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID" in source
    assert OffsetCommitRequest.DEFAULT_GENERATION_ID == -1


def test_faust_and_aiokafka_still_tell_how_far_which_partitions_are_fetched() -> None:
    assert "_subscription" in inspect.getsource(aiokafka.AIOKafkaConsumer.highwater)
    assert {"tps", "state_value"} <= set(dir(Assignment))
    thread = driver.AIOKafkaConsumerThread
    assert list(inspect.signature(thread._ensure_consumer).parameters) == ["self"]


def test_a_fetch_result_still_has_what_shows_lost_batches() -> None:
    fetcher = aiokafka.consumer.fetcher
    records, result = LeanPartitionRecords.__mro__[1], WholeFetchResult.__mro__[1]
    assert (records.__module__, result.__module__) == (fetcher.__name__, fetcher.__name__)
    assert "self.next_fetch_offset = fetch_offset" in inspect.getsource(records)
    assert "FetchResult(" in inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert list(inspect.signature(result.getall).parameters) == ["self", "max_records"]
    assert "self._topic_partition = tp" in inspect.getsource(result)


def test_recovery_still_asks_the_table_where_to_go_on() -> None:
    assert "table.persisted_offset(tp)" in inspect.getsource(Recovery._add)


def test_recovery_still_reads_where_the_bulk_recovery_steps_in() -> None:
    source = inspect.getsource(Recovery._restart_recovery.fun)
    steps = ["self._build_offsets)", "if self.need_recovery():", "self.on_recovery_completed)"]
    places = [source.index(step) for step in steps]
    assert places == sorted(places)
    assert "except RebalanceAgain" in source
    assert "self._recovery = Recovery(" in inspect.getsource(TableManager.recovery.fget)


def test_a_rebalance_still_ends_with_a_seek_to_the_committed_offsets() -> None:
    assert "consumer.perform_seek()" in inspect.getsource(Recovery.on_recovery_completed)
    assert "self.seek_to_committed()" in inspect.getsource(Consumer.perform_seek)


class Offsets:
    """The attributes that `Consumer._new_offset` works on."""

    def __init__(self, committed: int | None) -> None:
        self._acked: dict[TP, list[int]] = defaultdict(list)
        self._acked_index: dict[TP, set[int]] = defaultdict(set)
        self._gap: dict[TP, IntervalTree] = defaultdict(IntervalTree)
        self._committed_offset: dict[TP, int | None] = defaultdict(lambda: committed)


def test_faust_commits_past_an_unacknowledged_batch_when_a_later_one_is_acknowledged() -> None:
    """Why batches are acknowledged strictly in order, and reading resumes at the progress."""
    offsets, tp = Offsets(committed=None), TP("events.hits", 0)
    offsets._gap[tp].addi(1, 100)  # a first batch, offsets 0 to 99, is in work
    offsets._gap[tp].addi(100, 200)  # a second, 100 to 199, is acknowledged
    offsets._acked[tp].append(199)
    assert Consumer._new_offset(offsets, tp) == 200


@pytest.mark.parametrize(("committed", "is_due"), [(None, True), (3, True), (10, False)])
def test_faust_commits_what_stands_among_the_acknowledged_and_is_ahead_of_the_committed(
    committed: int | None, *, is_due: bool
) -> None:
    """How a start position that the group is behind of gets committed."""
    offsets, tp = Offsets(committed), TP("events.hits", 0)
    offsets._acked[tp], offsets._acked_index[tp] = [9], {9}
    assert list(Consumer._filter_tps_with_pending_acks(offsets)) == [tp]
    assert Consumer._should_commit(offsets, tp, 10) is is_due
    source = inspect.getsource(Consumer.ack)
    assert "acked_index = self._acked_index[tp]" in source
    assert "acked_for_tp = self._acked[tp]" in source


def test_a_consumer_of_whole_records_is_told_from_an_agents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = inspect.getsource(aiokafka.consumer.fetcher)
    assert "self._key_deserializer = key_deserializer" in source
    monkeypatch.setattr(LeanPartitionRecords, "batched", frozenset({"config.triggers"}))

    def records(topic: str, key_deserializer: Any) -> LeanPartitionRecords:
        tp = TP(topic, 0)
        return LeanPartitionRecords(tp, None, None, 0, key_deserializer, None, False, 0)

    assert records("config.triggers", None).is_lean
    assert not records("other", None).is_lean
    assert not records("config.triggers", whole_records).is_lean


def test_faust_s_clients_sign_in_with_the_options_of_all_others() -> None:
    """The driver asks its function for the options of each client, by its module's name."""
    thread, producer = driver.AIOKafkaConsumerThread, driver.Producer
    for method in (thread._create_worker_consumer, producer._settings_auth):
        assert "credentials_to_aiokafka_auth(" in inspect.getsource(method)
    found = sign_in(KafkaSettings(security_protocol="SSL"))
    credentials = KafkaSignIn(found)
    options = driver.credentials_to_aiokafka_auth(credentials, None)
    assert driver.credentials_to_aiokafka_auth is faust_credentials._options
    assert options == found.options()
    assert options["sasl_oauth_token_provider"] is found
