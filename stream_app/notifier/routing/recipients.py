"""Which integrations of an alert get a delivery, which do not, and why."""

from __future__ import annotations

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.configuration.reserved import PULSE_CLIENT_ID, PULSE_INTEGRATION_ID
from stream_app.domain.delivery.reasons import RouteResult
from stream_app.kafka.configuration.view import Configuration
from stream_app.logs import get_logger

log = get_logger(__name__)

#: Results with a delivery -> what happens to it. A delivery is made even if it cannot be sent now:
#: otherwise the alert would be lost.
DELIVERED = {
    RouteResult.SENT: "it is sent",
    RouteResult.DISABLED: "the system has disabled it: its deliveries become dead letters",
    RouteResult.INVALID: "its record cannot be used: its attempts fail until a better one comes",
}
#: Results without a delivery -> what happens to the alert, where anything does.
SKIPPED = {RouteResult.UNKNOWN_INTEGRATION: "the alert becomes a dead letter for it"}


class Recipients:
    """Looks integrations up in the live configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        #: The integrations, and why each gets no request, that the log has named.
        self._logged: set[tuple[int, RouteResult]] = set()

    def result(self, alert: Alert | NoticeAlert, integration_id: int) -> RouteResult:
        """Return how an alert is routed to one of its integrations."""
        configuration = self._configuration
        integration = configuration.integrations.get(integration_id)
        if integration is None:
            return self._result_of_unknown(alert, integration_id)
        if integration.client_id != alert.client_id:
            return RouteResult.FOREIGN_INTEGRATION
        if not integration.active:
            return RouteResult.INACTIVE
        usable = configuration.is_usable(integration)
        return RouteResult.SENT if usable else RouteResult.DISABLED

    def _result_of_unknown(self, alert: Alert | NoticeAlert, integration_id: int) -> RouteResult:
        if alert.client_id == PULSE_CLIENT_ID and integration_id == PULSE_INTEGRATION_ID:
            return RouteResult.SENT
        if integration_id in self._configuration.invalid_integrations:
            return RouteResult.INVALID
        if integration_id in self._configuration.deleted_integrations:
            return RouteResult.DELETED_INTEGRATION
        return RouteResult.UNKNOWN_INTEGRATION

    def logged_result(self, alert: Alert | NoticeAlert, integration_id: int) -> RouteResult:
        """Return the same as `result`, and log once why an integration gets no request."""
        result = self.result(alert, integration_id)
        if result is RouteResult.SENT:
            self._logged = {known for known in self._logged if known[0] != integration_id}
        elif (integration_id, result) not in self._logged:
            self._logged.add((integration_id, result))
            log.warning(
                "integration_not_served",
                why=result,
                integration_id=integration_id,
                client_id=alert.client_id,
                alert_id=alert.id,
                **alert.cause,
                then=DELIVERED.get(result, SKIPPED.get(result, "it gets nothing")),
            )
        return result
