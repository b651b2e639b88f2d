"""The worker's command, which never fetches partition 1 of the incidents, as after a fault."""

from __future__ import annotations

from stream_app.cli import main
from stream_app.kafka.records.fetch_states import WatchedPartitionState
from stream_app.kafka.watch import standstill
from stream_app.kafka.watch.standstill import Patience


def stand_still() -> None:
    standstill.UNREAD = Patience(3.0, 30.0)
    seek = WatchedPartitionState.seek

    def paused(self: WatchedPartitionState, position: int) -> None:
        seek(self, position)
        for tp in self._assignment.tps:
            is_meant = tp.topic.endswith(".events.incidents") and tp.partition == 1
            if is_meant and self._assignment.state_value(tp) is self:
                self.pause()

    WatchedPartitionState.seek = paused  # type: ignore[method-assign]


if __name__ == "__main__":
    stand_still()
    main()
