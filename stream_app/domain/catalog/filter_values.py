"""Values of filters, brought from what a person wrote into the form that is stored.

Two spellings of one address, attack type or role become one value. The function of each filter
returns None for a value that the filter does not take.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from stream_app.domain.catalog.attack_types import ATTACK_TYPES
from stream_app.domain.catalog.numbers import MAX_INTEGER
from stream_app.domain.catalog.roles import ROLES, role_code

FilterValue = str | int

TARGETS = ("server", "client", "database")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
DEFAULT_APPLICATION = -1
#: Fields of events and notices that hold an application's id.
APPLICATION_ID_FIELDS = ("application_id", "poolid")
#: The documentation's and the API's word for one change of an endpoint.
UNUSED, EXCLUDED = "unused", "excluded"
CHANGE_TYPES = ("added", "changed", EXCLUDED)
DEVIATION_TYPES = ("shadow", "zombie", "orphan")
#: Kinds of sensitive data as the documentation spells them; the product has more than it lists.
SENSITIVE_DATA = (
    "password",
    "secret",
    "credit_card_number",
    "CVV",
    "IBAN",
    "driver_license_number",
    "email",
    "location",
    "login",
    "passport_number",
    "personal_name",
    "phone",
    "SSN",
    "IP",
    "MAC",
)
_SENSITIVE_DATA = {name.lower(): name for name in SENSITIVE_DATA}
_MIN_STATUS, _MAX_STATUS = 100, 599


def pool(value: object) -> int | None:
    """Return an application's id."""
    return _integer(value, DEFAULT_APPLICATION)


def specification(value: object) -> int | None:
    """Return an API specification's id."""
    return _integer(value, 1)


def response_status(value: object) -> FilterValue | None:
    """Return a status as a number, or a class of statuses as text."""
    if isinstance(value, str):
        return value.lower() if value.lower() in STATUS_CLASSES else None
    found = _integer(value, _MIN_STATUS)
    return found if found is not None and found <= _MAX_STATUS else None


def ip_address(value: object) -> str | None:
    """Return a single address."""
    if not isinstance(value, str) or "%" in value:
        return None
    try:
        return ipaddress.ip_address(value.strip()).compressed
    except ValueError:
        return None


def attack_type(value: object) -> str | None:
    """Return the code of an attack type."""
    return value.lower() if isinstance(value, str) and value.lower() in ATTACK_TYPES else None


def domain(value: object) -> str | None:
    """Return a host name."""
    host = value.strip().lower() if isinstance(value, str) else ""
    return host if host and not any(c.isspace() or c == "/" for c in host) else None


def role(value: object) -> str | None:
    """Return the code of a user's role."""
    code = role_code(value) if isinstance(value, str) else ""
    return code if code in ROLES else None


def sensitive_data(value: object) -> str | None:
    """Return a kind of sensitive data; an undocumented one is taken as it is."""
    found = value.strip() if isinstance(value, str) else ""
    return _SENSITIVE_DATA.get(found.lower(), found) or None


def text(value: object) -> str | None:
    """Return a text unchanged: its form is the product's own, or undocumented."""
    return value if isinstance(value, str) and value.strip() else None


def choice(
    allowed: tuple[str, ...], spellings: Mapping[str, str] | None = None
) -> Callable[[object], str | None]:
    """Return a function that takes one of `allowed` in any case.

    Args:
        allowed: the values in their stored form.
        spellings: other names of values, in lower case -> the stored value.
    """
    forms = {value.lower(): value for value in allowed} | dict(spellings or {})

    def normal(value: object) -> str | None:
        return forms.get(value.lower()) if isinstance(value, str) else None

    return normal


def _integer(value: object, minimum: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if not minimum <= value <= MAX_INTEGER:
        return None
    return value


def normal_change_type(text: str) -> str:
    """Return the compared form of a change of an endpoint: the API's word for it."""
    word = text.strip().lower()
    return EXCLUDED if word == UNUSED else word


def normal_deviation_type(text: str) -> str:
    """Return the compared form of a deviation from a specification."""
    return text.strip().lower()
