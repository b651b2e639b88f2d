"""The settings of deliveries, and what one flush of a partition writes of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_app.domain.delivery.auto_disable import (
    Bucket,
    JudgedEpoch,
    JudgeKey,
    JudgeRules,
    Verdict,
)
from stream_app.domain.delivery.finished_deliveries import KnownDelivery
from stream_app.domain.delivery.state import DeliveryState
from stream_app.domain.delivery.transitions import Transition
from stream_app.domain.episodes.open_alert import OpenAlert


@dataclass(frozen=True)
class DeliveryRules:
    """The settings of deliveries.

    `retry_scale` is a factor on the documented waits, 1 except in tests. `max_pending` is the
    most pending deliveries of one integration. After a fault of our own side an attempt is made
    again until the alert is older than `max_alert_age_ms`.
    """

    retry_scale: float = 1.0
    max_pending: int = 5000
    max_alert_age_ms: int = 6 * 3600 * 1000
    judge: JudgeRules = field(default_factory=JudgeRules)


@dataclass(frozen=True)
class DeliveryCut:
    """What one flush of a partition writes; `None` for a state that is forgotten."""

    changed: list[tuple[str, KnownDelivery | None]]
    #: Deliveries that have not changed, and are only written again.
    repeated: list[tuple[str, KnownDelivery | None]]
    judged: list[tuple[JudgeKey, Bucket | JudgedEpoch | None]]
    paused: list[tuple[int, int | None]]
    opened: list[tuple[str, OpenAlert | None]]
    transitions: list[Transition]
    verdicts: list[Verdict]
    offsets: tuple[int, ...]

    @property
    def integrations(self) -> set[int]:
        """The integrations of the changed deliveries that are still pending."""
        states = [state for _, state in self.changed if isinstance(state, DeliveryState)]
        return {state.integration_id for state in states}
