"""What a notice says in the fields that triggers filter by, in the form in which it is compared.

Producers name one thing in several ways: each reader takes the first name that says something.
What a notice doesn't say, or says in a way that cannot be read, is an empty set: it fails `eq`
and passes `ne`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from stream_app.domain.catalog.filter_values import (
    APPLICATION_IDS,
    DEFAULT_APPLICATION,
    change_type,
    deviation_type,
)
from stream_app.domain.catalog.roles import role_code
from stream_app.domain.configuration.client_names import application_name
from stream_app.domain.foreign_text.network_names import normal_host

Details = Mapping[str, Any]
Values = frozenset[str | int]
#: Name of an application -> its ids; several may share a name.
ApplicationIds = Mapping[str, Values]
Reader = Callable[[Details, ApplicationIds], Values]

NOTHING: Values = frozenset()
#: The name that producers give the application of what has none.
DEFAULT_NAME = "default"
#: Names that its name has, or its id where it has no name.
APPLICATION_NAMES = ("application", "applications")
_STATUS = re.compile(r"[1-5](\d\d|xx)")
_NUMBER = re.compile(r"-?\d{1,18}")
_ABSOLUTE_URL = re.compile(r"([a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"[\s_-]+")


def application_ids(applications: Mapping[int, str]) -> ApplicationIds:
    """Return the ids of a client's applications by name; the default one has `default`, too.

    Names are in the form in which they are compared.
    """
    found: dict[str, Values] = {DEFAULT_NAME: frozenset({DEFAULT_APPLICATION})}
    for number, text in applications.items():
        if name := application_name(text):
            found[name] = found.get(name, NOTHING) | {number}
    return found


def sensitive_data(text: str) -> str:
    """Return the name of a kind of sensitive data: `credit card number` is a spelling of it."""
    return _BETWEEN_WORDS.sub("_", text.strip()).lower()


def host_name(text: str) -> str:
    """Return a host as it is compared."""
    return normal_host(text)


def mentioned_applications(details: Details, applications: Mapping[int, str]) -> list[int]:
    """Return the ids of applications that a notice holds: their names stand elsewhere.

    A number that is the name of one of the client's `applications` means that one.
    """
    found = _first(details, APPLICATION_IDS, _numbers)
    items = [item for name in APPLICATION_NAMES for item in _items(details.get(name))]
    if numbers := [item for item in items if _numbers(item)]:
        found |= _named(numbers, application_ids(applications))
    return sorted(number for number in found if isinstance(number, int))


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


def _texts(value: object, normal: Callable[[str], str]) -> Values:
    found = (normal(item) for item in _items(value) if isinstance(item, str))
    return frozenset(text for text in found if text)


def _numbers(value: object) -> Values:
    """Return the integers of a value or a list; a text of digits is one, too."""
    found: set[str | int] = set()
    for item in _items(value):
        if isinstance(item, int) and not isinstance(item, bool):
            found.add(item)
        elif isinstance(item, str) and _NUMBER.fullmatch(item.strip()):
            found.add(int(item))
    return frozenset(found)


def _first(details: Details, names: Iterable[str], read: Callable[[Any], Values]) -> Values:
    """Return what the first of the names says that says anything."""
    for name in names:
        if found := read(details.get(name)):
            return found
    return NOTHING


def _inner(details: Details, name: str, field: str) -> object:
    """Return a field of a nested object; None when there is no such object."""
    body = details.get(name)
    return body.get(field) if isinstance(body, Mapping) else None


def _pool(details: Details, ids: ApplicationIds) -> Values:
    """Return ids of applications; a name that the client does not have is none."""
    numbers = _first(details, APPLICATION_IDS, _numbers)
    return numbers or _first(details, APPLICATION_NAMES, lambda v: _named(v, ids))


def _named(value: object, ids: ApplicationIds) -> Values:
    found: set[str | int] = set()
    for item in _items(value):
        name = application_name(item) if isinstance(item, str) else ""
        # An application without a name is shown by its id.
        found |= ids.get(name) or _numbers(item)
    return frozenset(found)


def _domain(details: Details, _ids: ApplicationIds) -> Values:
    return _first(details, ("domain", "api_host", "host"), lambda v: _texts(v, host_name))


def _login_domain(details: Details, ids: ApplicationIds) -> Values:
    return _domain(details, ids) or _first(details, ("url", "URL"), lambda v: _texts(v, _host_of))


def _host_of(url: str) -> str:
    """Return the host of an address, which may come without a scheme; empty: it has none."""
    text = url.strip()
    try:
        host = urlsplit(text if _ABSOLUTE_URL.match(text) else f"//{text}").hostname
    except ValueError:
        return ""
    return normal_host(host or "")


def _change_type(details: Details, _ids: ApplicationIds) -> Values:
    return _texts(details.get("change_type"), change_type)


def _pii(details: Details, _ids: ApplicationIds) -> Values:
    """Return all kinds of sensitive data that are named anywhere: of parameters, or as a list."""
    found = NOTHING
    for item in _items(details.get("parameters")):
        if isinstance(item, Mapping):
            found |= _texts(item.get("class"), sensitive_data)
    for name in ("pii", "sensitive_data"):
        found |= _texts(details.get(name), sensitive_data)
    return found


def _deviation_type(details: Details, _ids: ApplicationIds) -> Values:
    return _texts(details.get("type_of_endpoint"), deviation_type)


def _specification(details: Details, _ids: ApplicationIds) -> Values:
    return (
        _numbers(details.get("specification_id"))
        or _numbers(_inner(details, "specification", "id"))
        or _numbers(details.get("api_spec_id"))
    )


def _role(details: Details, _ids: ApplicationIds) -> Values:
    """Return the codes of a new user's role; the older flat record has `role` alone."""
    inner = _texts(_inner(details, "user", "role"), role_code)
    return inner or _texts(details.get("role"), role_code)


def _response_status(details: Details, _ids: ApplicationIds) -> Values:
    """Return statuses; a class, such as `4xx`, is in itself only, not each status of it."""
    return _first(details, ("response_status", "statuscode", "status_code"), _statuses)


def _statuses(value: object) -> Values:
    found: set[str | int] = set()
    for item in _items(value):
        text = str(item).strip().lower() if isinstance(item, str | int) else ""
        if _STATUS.fullmatch(text):
            found.add(text if text.endswith("xx") else int(text))
    return frozenset(found)


#: Condition -> its filters -> what reads the notice's values.
FIELDS: Mapping[str, Mapping[str, Reader]] = {
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

_NORMAL: Mapping[str, Callable[[str], str]] = {
    "domain": host_name,
    "change_type": change_type,
    "pii": sensitive_data,
    "deviation_type": deviation_type,
    "role": role_code,
}


def wanted_values(filter_id: str, values: Iterable[str | int]) -> Values:
    """Return a filter's values as those of notices are compared; a class holds its statuses."""
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
