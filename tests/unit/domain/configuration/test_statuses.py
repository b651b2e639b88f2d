"""Statuses: whether the system has disabled an integration."""

from __future__ import annotations

import pytest

from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.statuses import (
    FAILED_SHARE,
    IntegrationStatus,
    decode_status,
    encode_status,
    is_disabled_by_system,
    parse_status,
)
from stream_app.domain.errors import InvalidObjectError

STATUS = IntegrationStatus(521, 1111, True, FAILED_SHARE, 100, 18, 27, 12, 1_767_225_600_000)


def integration(enabled_at: int) -> Integration:
    return Integration(
        521, 1111, "On-call", True, "opsgenie", "", "", (), epoch=200, enabled_at=enabled_at
    )


def test_a_record_comes_back_as_it_was_and_names_its_integration() -> None:
    assert decode_status(encode_status(STATUS)) == STATUS
    assert STATUS.id == 521


def test_an_integration_without_a_status_is_not_disabled() -> None:
    assert not is_disabled_by_system(integration(50), None)


@pytest.mark.parametrize(("enabled_at", "is_disabled"), [(0, True), (100, True), (101, False)])
def test_a_status_counts_until_somebody_enables_the_integration(
    enabled_at: int, *, is_disabled: bool
) -> None:
    assert is_disabled_by_system(integration(enabled_at), STATUS) is is_disabled


def test_a_record_that_is_no_status_is_refused() -> None:
    with pytest.raises(InvalidObjectError, match="integration_id"):
        parse_status({"disabled": True})
