"""Names that the security cloud gives to what a person left without one.

Documented as `New trigger by <username>, <creation_date>` and shown as "Opsgenie integration by
John Smith, Feb 1". Dates are those of UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: By kind.
FORMS = {
    "trigger": "New trigger by {user}, {date}",
    "integration": "Opsgenie integration by {user}, {date}",
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def named(kind: str, record: dict[str, object]) -> dict[str, object]:
    """Return an object with its default name if it has none, and it is known who made it and when.

    `created_by` is a text, `created_at` in Unix seconds.
    """
    name = record.get("name")
    if kind not in FORMS or not (name is None or (isinstance(name, str) and not name.strip())):
        return record
    user, date = record.get("created_by"), _date(record.get("created_at"))
    if not isinstance(user, str) or not user.strip() or date is None:
        return record
    return {**record, "name": FORMS[kind].format(user=user.strip(), date=date)}


def _date(created_at: object) -> str | None:
    if isinstance(created_at, bool) or not isinstance(created_at, int) or created_at <= 0:
        return None
    try:
        day = datetime.fromtimestamp(created_at, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{_MONTHS[day.month - 1]} {day.day}"
