"""Replays notices: the worker's own stage matches them, and its alerts are kept, not sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.detector.match import MatchOutcome, MatchStage
from stream_app.domain.alerts.alert import Alert, NoticeAlert, decode_alert
from stream_app.domain.notices.incoming import NoticeResult
from stream_app.domain.notices.signatures import NO_SIGNATURES, NoticeSigner
from stream_app.domain.replay.counting_replay import ReplayFigures
from stream_app.domain.state.progress import PartitionProgress
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send
from stream_app.kafka.state.state_table import PartitionShare
from stream_app.metrics import Metrics


class _ProgressTable:
    """The progress of each partition, in memory only."""

    epoch = generation = 0

    def __init__(self) -> None:
        self._states: dict[int, PartitionProgress] = {}

    def state(self, partition: int) -> PartitionProgress:
        return self._states.setdefault(partition, PartitionProgress())

    def flush_steps(self, _shares: Sequence[PartitionShare]) -> Sequence[Sequence[Send]]:
        return ()


@dataclass(frozen=True)
class _FixedConfiguration:
    """A configuration that does not change."""

    configuration: Configuration

    async def catch_up(self, _timeout_seconds: float) -> bool:
        return True


class NoticeReplay:
    """Matches notices against one fixed configuration, and keeps their alerts by id."""

    def __init__(
        self, configuration: Configuration, names: TopicNames, signer: NoticeSigner = NO_SIGNATURES
    ) -> None:
        self.figures = ReplayFigures()
        self._values: dict[str, bytes] = {}
        self._alerts_topic = names(Topic.ALERTS)
        source = _FixedConfiguration(configuration)
        self._stage = MatchStage(_ProgressTable(), source, names, Metrics(), signer)

    def replay(self, partition: int, records: Sequence[Any]) -> None:
        """Match the notices of one batch of a partition."""
        for _ in self._stage.steps(Topic.ACCOUNT, partition, records):
            pass
        sends, outcome = self._stage.take_matched()
        for send in sends:
            if send.topic == self._alerts_topic:
                value = send.value or b""
                self._values.setdefault(decode_alert(value).id, value)
        self._note(outcome)

    def _note(self, outcome: MatchOutcome) -> None:
        """Count the results of notices, and the rejected ones by reason."""
        for result, number in outcome.results.items():
            if result is not NoticeResult.REJECTED:
                self.figures.results[result.value] += number
        for _, rejected in outcome.rejected:
            self.figures.rejected[rejected.reason.value] += 1

    def finish(self, _partition: int) -> None:
        """Do nothing: each notice stands for itself."""

    def alerts(self) -> Iterator[tuple[Alert | NoticeAlert, int]]:
        """Yield the alerts, oldest first, each with its count of notices: one."""
        found = [decode_alert(value) for value in self._values.values()]
        for alert in sorted(found, key=lambda one: (one.happened_at_seconds, one.id)):
            yield alert, 1
