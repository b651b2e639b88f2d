"""Tells whether the operator integration can be used: in the log, and as a metric."""

from __future__ import annotations

from stream_app.domain.reports.operator_integration import ACTIVE, operator_problem
from stream_app.kafka.configuration.view import Configuration
from stream_app.logs import get_logger
from stream_app.metrics import Metrics
from stream_app.notifier.reconcile import FollowedConfiguration

log = get_logger(__name__)


class OperatorUsability:
    """Follows the operator integration through the changes of the configuration."""

    def __init__(
        self, integration_id: int, reader: FollowedConfiguration, metrics: Metrics
    ) -> None:
        self._integration_id = integration_id
        self._configuration = reader.configuration
        self._state: str | None = ACTIVE
        metrics.operator_usable.set_function(self._usable)
        reader.subscribe(self._log_change)
        self._log_change(reader.configuration)

    def _usable(self) -> float:
        return float(operator_state(self._configuration, self._integration_id) == ACTIVE)

    def _log_change(self, configuration: Configuration) -> None:
        state = operator_state(configuration, self._integration_id)
        if state == self._state:
            return
        self._state = state
        problem = operator_problem(self._integration_id, state)
        if problem is None:
            log.info("operator_integration_usable", integration_id=self._integration_id)
        else:
            log.error(
                "operator_integration_unusable",
                integration_id=self._integration_id,
                why=problem.what,
                then=problem.next_step,
            )


def operator_state(configuration: Configuration, integration_id: int) -> str | None:
    """Return the state of an integration, in the words of `integrations list`; None: not known."""
    integration = configuration.integrations.get(integration_id)
    if integration is None:
        return "invalid" if integration_id in configuration.invalid_integrations else None
    if not integration.active:
        return "off"
    return ACTIVE if configuration.is_usable(integration) else "disabled"
