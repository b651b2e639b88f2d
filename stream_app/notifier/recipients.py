"""What the integrations of an alert are: who gets it, who does not, and why."""

from __future__ import annotations

from stream_app.domain.alerts.alert import Alert, NoticeAlert
from stream_app.domain.delivery.reasons import RouteResult
from stream_app.kafka.configuration.view import Configuration
from stream_app.logs import get_logger

log = get_logger(__name__)

#: The results for which `route` still makes a delivery, so that no alert is lost, and what happens
#: to that delivery.
DELIVERED = {
    RouteResult.SENT: "it is sent",
    RouteResult.DISABLED: "the system has disabled it: its deliveries become dead letters",
    RouteResult.INVALID: "its record cannot be used: its attempts fail until a better one comes",
}
#: What happens to an alert that gets no delivery, where something does.
SKIPPED = {RouteResult.UNKNOWN_INTEGRATION: "the alert becomes a dead letter for it"}


class Recipients:
    """Judges integrations by the live configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        #: (integration, why) of what is not simply served and has been logged.
        self._said: set[tuple[int, RouteResult]] = set()

    def result(self, alert: Alert | NoticeAlert, number: int) -> RouteResult:
        """Return what one of an alert's integrations is."""
        configuration = self._configuration
        integration = configuration.integrations.get(number)
        if integration is None:
            if number in configuration.invalid_integrations:
                return RouteResult.INVALID
            is_deleted = number in configuration.deleted_integrations
            unknown = RouteResult.UNKNOWN_INTEGRATION
            return RouteResult.DELETED_INTEGRATION if is_deleted else unknown
        if integration.client_id != alert.client_id:
            return RouteResult.FOREIGN_INTEGRATION
        if not integration.active:
            return RouteResult.INACTIVE
        usable = configuration.is_usable(integration)
        return RouteResult.SENT if usable else RouteResult.DISABLED

    def judge(self, alert: Alert | NoticeAlert, number: int) -> RouteResult:
        """Return what an integration is, and say it once where it is not simply served."""
        result = self.result(alert, number)
        if result is RouteResult.SENT:
            self._said = {cause for cause in self._said if cause[0] != number}
        elif (number, result) not in self._said:
            self._said.add((number, result))
            log.warning(
                "integration_not_served",
                why=result,
                integration_id=number,
                client_id=alert.client_id,
                alert_id=alert.id,
                **alert.cause,
                then=DELIVERED.get(result, SKIPPED.get(result, "it gets nothing")),
            )
        return result
