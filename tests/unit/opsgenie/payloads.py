"""The body of a request that creates an alert, as an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from stream_app.domain.configuration.alert_options import AlertOptions
from stream_app.opsgenie.payload import alert_body


def payload_of(
    message: str, description: str, alias: str, details: Mapping[str, object], **options: Any
) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(
        alert_body(message, description, alias, details, AlertOptions(**options))
    )
    return body
