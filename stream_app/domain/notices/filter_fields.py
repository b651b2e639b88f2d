"""Readers of the fields of notices that triggers filter by; values come in their compared form.

Producers use several names for one field: each reader takes the first one that has a value. A
field that is missing or cannot be read gives an empty set, which fails `eq` and passes `ne`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from stream_app.domain.catalog.filter_values import (
    APPLICATION_ID_FIELDS,
    normal_change_type,
    normal_deviation_type,
)
from stream_app.domain.catalog.roles import role_code
from stream_app.domain.configuration.client_names import (
    ApplicationIds,
    application_ids_by_name,
    normal_application_name,
)
from stream_app.domain.counting.matching import Values
from stream_app.domain.foreign_text.network_names import normal_host

Details = Mapping[str, Any]
Reader = Callable[[Details, ApplicationIds], Values]

NOTHING: Values = frozenset()
#: Fields with an application's name, or with its id if it has no name.
APPLICATION_NAME_FIELDS = ("application", "applications")
_STATUS = re.compile(r"[1-5](\d\d|xx)")
_NUMBER = re.compile(r"-?\d{1,18}")
_ABSOLUTE_URL = re.compile(r"([a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


def normal_sensitive_data(text: str) -> str:
    """Return a kind of sensitive data in its compared form, `credit_card_number`."""
    return _BETWEEN_WORDS.sub("_", text.strip()).lower()


def mentioned_applications(details: Details, applications: Mapping[int, str]) -> list[int]:
    """Return the ids of the applications that a notice mentions by id.

    A number that is the name of one of the client's `applications` means that one.
    """
    found = _first(details, APPLICATION_ID_FIELDS, _numbers)
    items = [item for name in APPLICATION_NAME_FIELDS for item in _items(details.get(name))]
    if numbers := [item for item in items if _numbers(item)]:
        found |= _application_ids(numbers, application_ids_by_name(applications))
    return sorted(number for number in found if isinstance(number, int))


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _texts(value: object, normal: Callable[[str], str]) -> Values:
    found = (normal(item) for item in _items(value) if isinstance(item, str))
    return frozenset(text for text in found if text)


def _numbers(value: object) -> Values:
    """Return the integers of a value or a list; a text of digits counts as one."""
    found: set[str | int] = set()
    for item in _items(value):
        if isinstance(item, int) and not isinstance(item, bool):
            found.add(item)
        elif isinstance(item, str) and _NUMBER.fullmatch(item.strip()):
            found.add(int(item))
    return frozenset(found)


def _first(details: Details, names: Iterable[str], read: Callable[[Any], Values]) -> Values:
    """Return the values of the first field that has any."""
    for name in names:
        if found := read(details.get(name)):
            return found
    return NOTHING


def _inner(details: Details, name: str, field: str) -> object:
    """Return a field of a nested object; None if there is no such object."""
    body = details.get(name)
    return body.get(field) if isinstance(body, Mapping) else None


def _pool(details: Details, ids: ApplicationIds) -> Values:
    """Return ids of applications; a name that the client does not have gives none."""
    numbers = _first(details, APPLICATION_ID_FIELDS, _numbers)
    return numbers or _first(details, APPLICATION_NAME_FIELDS, lambda v: _application_ids(v, ids))


def _application_ids(names: object, ids: ApplicationIds) -> Values:
    found: set[str | int] = set()
    for item in _items(names):
        name = normal_application_name(item) if isinstance(item, str) else ""
        # An application without a name is shown by its id.
        found.update(ids.get(name) or _numbers(item))
    return frozenset(found)


def _domain(details: Details, _ids: ApplicationIds) -> Values:
    return _first(details, ("domain", "api_host", "host"), lambda v: _texts(v, normal_host))


def _login_domain(details: Details, ids: ApplicationIds) -> Values:
    return _domain(details, ids) or _first(details, ("url", "URL"), lambda v: _texts(v, _host_of))


def _host_of(url: str) -> str:
    """Return the host of a URL, which may have no scheme; empty if there is no host."""
    text = url.strip()
    try:
        host = urlsplit(text if _ABSOLUTE_URL.match(text) else f"//{text}").hostname
    except ValueError:
        return ""
    return normal_host(host or "")


def _change_type(details: Details, _ids: ApplicationIds) -> Values:
    return _texts(details.get("change_type"), normal_change_type)


def _pii(details: Details, _ids: ApplicationIds) -> Values:
    """Return all kinds of sensitive data: those of parameters, and those listed."""
    found = NOTHING
    for item in _items(details.get("parameters")):
        if isinstance(item, Mapping):
            found |= _texts(item.get("class"), normal_sensitive_data)
    for name in ("pii", "sensitive_data"):
        found |= _texts(details.get(name), normal_sensitive_data)
    return found


def _deviation_type(details: Details, _ids: ApplicationIds) -> Values:
    return _texts(details.get("type_of_endpoint"), normal_deviation_type)


def _specification(details: Details, _ids: ApplicationIds) -> Values:
    return (
        _numbers(details.get("specification_id"))
        or _numbers(_inner(details, "specification", "id"))
        or _numbers(details.get("api_spec_id"))
    )


def _role(details: Details, _ids: ApplicationIds) -> Values:
    """Return the code of a new user's role; the older, flat record has a plain `role`."""
    inner = _texts(_inner(details, "user", "role"), role_code)
    return inner or _texts(details.get("role"), role_code)


def _response_status(details: Details, _ids: ApplicationIds) -> Values:
    """Return statuses. A class such as `4xx` stands for itself, not for each of its statuses."""
    return _first(details, ("response_status", "statuscode", "status_code"), _statuses)


def _statuses(value: object) -> Values:
    found: set[str | int] = set()
    for item in _items(value):
        text = str(item).strip().lower() if isinstance(item, str | int) else ""
        if _STATUS.fullmatch(text):
            found.add(text if text.endswith("xx") else int(text))
    return frozenset(found)


#: Condition -> filter -> the reader of the notice's values.
FILTER_READERS: Mapping[str, Mapping[str, Reader]] = {
    "blacklist_ip_added": {"pool": _pool},
    "api_structure_changed": {
        "pool": _pool,
        "domain": _domain,
        "change_type": _change_type,
        "pii": _pii,
    },
    "rogue_api_detected": {
        "pool": _pool,
        "domain": _domain,
        "deviation_type": _deviation_type,
        "api_spec_ids": _specification,
    },
    "compromised_logins": {
        "pool": _pool,
        "domain": _login_domain,
        "response_status": _response_status,
    },
    "user_created": {"role": _role},
}

#: Filter -> what brings its texts into the compared form.
_NORMAL: Mapping[str, Callable[[str], str]] = {
    "domain": normal_host,
    "change_type": normal_change_type,
    "pii": normal_sensitive_data,
    "deviation_type": normal_deviation_type,
    "role": role_code,
}


def wanted_values(filter_id: str, values: Iterable[str | int]) -> Values:
    """Return a filter's values in the compared form; a class of statuses holds all of them."""
    found: set[str | int] = set()
    for value in values:
        if filter_id == "response_status":
            text = str(value).lower()
            found.add(text if text.endswith("xx") else int(text))
            if text.endswith("xx"):
                first = int(text[0]) * 100
                found.update(range(first, first + 100))
        elif isinstance(value, str) and filter_id in _NORMAL:
            found.add(_NORMAL[filter_id](value))
        else:
            found.add(value)
    return frozenset(found)
