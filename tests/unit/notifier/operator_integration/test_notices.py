"""Whom a message to the platform team reaches, and when none is made."""

from __future__ import annotations

import pytest

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import IntegrationStatus
from stream_app.domain.delivery.records import decode_delivery
from stream_app.domain.notices.operator_notice import OperatorNotice
from stream_app.kafka.cluster.topics import TopicNames
from stream_app.kafka.configuration.view import Configuration
from stream_app.notifier.operator_integration.notices import OperatorNotices

NOTICE = OperatorNotice("integration_broken", "x/521/7", "Title", ["Text"], about=521)


def platform(*, active: bool = True) -> Integration:
    return Integration(900, 9, "Platform", active, "opsgenie", "", "", ())


def notices(
    integration_id: int | None, *known: Integration, disabled: int | None = None
) -> OperatorNotices:
    configuration = Configuration()
    configuration.integrations = {one.id: one for one in known}
    if disabled is not None:
        status = IntegrationStatus(disabled, 9, True, "failed_share", 7, 18, 27, 12, 0)
        configuration.statuses = {disabled: status}
    return OperatorNotices(integration_id, configuration, TopicNames("p."))


def test_a_message_is_a_delivery_to_the_operator_integration_of_any_client() -> None:
    (send,) = notices(900, platform()).sends(NOTICE)
    assert (send.topic, send.key, send.headers) == ("p.deliveries", b"900", ())
    found = decode_delivery(send.value or b"")
    assert (found.client_id, found.integration_id, found.message) == (9, 900, "[Wallarm] Title")
    assert notices(900, platform()).sends(NOTICE) == [send], "the same bytes"


def test_one_that_the_system_has_disabled_gets_its_messages_when_it_is_enabled() -> None:
    assert len(notices(900, platform(), disabled=900).sends(NOTICE)) == 1


@pytest.mark.parametrize(
    ("integration_id", "known"),
    [(None, [platform()]), (900, []), (900, [platform(active=False)])],
    ids=["none is set", "it is not configured, deleted or invalid", "its owner has turned it off"],
)
def test_without_one_that_may_be_told_nobody_is(
    integration_id: int | None, known: list[Integration]
) -> None:
    assert notices(integration_id, *known).sends(NOTICE) == []


def test_it_is_not_told_through_itself_that_it_is_broken() -> None:
    broken = Integration(521, 1111, "", True, "opsgenie", "", "", ())
    assert notices(521, broken).sends(NOTICE) == []
