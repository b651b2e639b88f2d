"""Whether the operator integration can be used is logged as it changes, and is a metric."""

from __future__ import annotations

from collections.abc import Callable

from structlog.testing import capture_logs

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.kafka.configuration.view import Configuration
from stream_app.metrics import Metrics
from stream_app.notifier.operator_integration.usability import OperatorUsability

ACTIVE = Integration(900, 9, "Platform", True, "opsgenie", "", "", ())
OFF = Integration(900, 9, "Platform", False, "opsgenie", "", "", ())
DISABLED = IntegrationStatus(900, 9, True, "failed_share", 7, 18, 27, 12, 0)


class Reader:
    def __init__(self) -> None:
        self.configuration = Configuration()
        self.callbacks: list[Callable[[Configuration], None]] = []

    async def catch_up(self, _seconds: float) -> bool:
        return True

    def subscribe(self, callback: Callable[[Configuration], None]) -> None:
        self.callbacks.append(callback)

    def become(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self.configuration, name, value)
        for callback in self.callbacks:
            callback(self.configuration)


def usable(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("stream_app_operator_integration_usable")


def test_each_change_is_logged_once_with_the_next_step() -> None:
    reader, metrics, seen = Reader(), Metrics(), []
    assert usable(metrics) is None, "a worker without one has no sample"
    with capture_logs() as logs:
        OperatorUsability(900, reader, metrics)
        seen.append(usable(metrics))
        for change in (
            {"integrations": {900: ACTIVE}},
            {"integrations": {900: ACTIVE}},
            {"statuses": {900: DISABLED}},
            {"integrations": {900: OFF}},
            {"integrations": {}, "invalid_integrations": frozenset({900})},
        ):
            reader.become(**change)
            seen.append(usable(metrics))
    assert seen == [0, 1, 1, 0, 0, 0]
    assert [line["event"] for line in logs] == [
        "operator_integration_unusable",
        "operator_integration_usable",
        *["operator_integration_unusable"] * 3,
    ]
    why = [line["why"] for line in logs if "why" in line]
    for text, part in zip(
        why, ("is not configured", "is disabled by the system", "is turned off", "cannot be used"),
        strict=True,
    ):  # fmt: skip
        assert text.startswith(
            f"the operator integration 900 (STREAM_APP_OPERATOR_INTEGRATION) {part}: "
        )
    assert logs[0]["then"].startswith("configure it: stream-app apply")


def test_one_that_can_be_used_from_the_start_is_not_worth_a_line() -> None:
    reader = Reader()
    reader.configuration.integrations = {900: ACTIVE}
    with capture_logs() as logs:
        OperatorUsability(900, reader, Metrics())
    assert logs == []
