"""Makes the deliveries of what the platform team is told."""

from __future__ import annotations

from stream_app.domain.delivery.records import encode_delivery
from stream_app.domain.notices.operator_notice import OperatorNotice, operator_delivery
from stream_app.kafka.cluster.topics import Topic, TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.kafka.state.send import Send


class OperatorNotices:
    """Turns notices into records of `deliveries`.

    Args:
        integration_id: the operator integration; None: nobody is told.
    """

    def __init__(
        self, integration_id: int | None, configuration: Configuration, names: TopicNames
    ) -> None:
        self._integration_id = integration_id
        self._configuration = configuration
        self._topic = names(Topic.DELIVERIES)

    def sends(self, notice: OperatorNotice) -> list[Send]:
        """Return the record of a notice; none if nobody can be told, or if it is about itself.

        If the system has disabled the operator integration, its deliveries become dead letters as
        those of any other, so that they can be sent when it is enabled again.
        """
        if self._integration_id in (None, notice.about):
            return []
        to = self._configuration.integrations.get(self._integration_id)
        if to is None or not to.active:
            return []
        delivery = operator_delivery(notice, to)
        return [Send(self._topic, str(to.id).encode(), encode_delivery(delivery))]
