"""Events of any shape in one form, to be compared."""

from __future__ import annotations

from types import NoneType
from typing import Any

import msgspec

from stream_app.domain.events.model import EVENT_TYPES, EventKind


def plain(event: Any, kind: EventKind) -> Any:
    """Return an event, or a shape of one, with the present names only: counting reads no others."""
    fields = msgspec.structs.fields(EVENT_TYPES[kind])
    names = [field.name for field in fields if field.type is not NoneType]
    return EVENT_TYPES[kind](**{name: getattr(event, name) for name in names})
