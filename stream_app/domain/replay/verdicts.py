"""The verdict on each trigger, as a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from stream_app.domain.alerts.threshold_text import period_text
from stream_app.domain.foreign_text.printable import quoted
from stream_app.domain.replay.comparison import ComparedAlert, ComparisonResult

#: Result -> its words after a number, for one and for several.
_WORDS = {
    ComparisonResult.SAME: ("alert as before", "alerts as before"),
    ComparisonResult.DIFFERENT: ("fires and says something else", "fire and say something else"),
    ComparisonResult.NO_LONGER_FIRES: ("no longer fires", "no longer fire"),
    ComparisonResult.NEW: ("new", "new"),
    ComparisonResult.NOT_JUDGED: ("cannot be judged", "cannot be judged"),
}


def verdicts(rows: Iterable[ComparedAlert]) -> Iterator[str]:
    """Yield a sentence for each trigger whose alerts differ, and one for all the others."""
    found: dict[str, Counter[ComparisonResult]] = {}
    periods: dict[str, str] = {}
    now: dict[str, set[str]] = {}
    for row in rows:
        name = _name(row)
        found.setdefault(name, Counter())[row.result] += 1
        if row.result is ComparisonResult.SAME:
            now.setdefault(name, set()).add(row.alert.id)
        if name not in periods and (text := _changed_period(row)):
            periods[name] = text
    differing = [name for name, counts in found.items() if set(counts) != {ComparisonResult.SAME}]
    for name in differing if len(found) > 1 else found:
        text = _counts_text(found[name])
        if name in periods and name in now:
            text = text.replace("as before", f"as before ({len(now[name])} now)", 1)
        yield f"{name}{periods.get(name, '')}: {text}"
    same = sum(found[name].total() for name in found if name not in differing)
    number = len(found) - len(differing)
    if not found:
        yield "no alerts, neither then nor now"
    elif len(found) > 1 and not differing:
        yield f"{_same_text(same)}, of {number} triggers; none is new, and none no longer fires"
    elif len(found) > 1 and number:
        yield f"{number} {'other' if number == 1 else 'others'}: {_same_text(same)}"


def _name(row: ComparedAlert) -> str:
    alert = row.alert
    if alert.trigger is None:
        return "notices"
    return f"trigger {alert.trigger.id} {quoted(alert.trigger.name)}"


def _same_text(number: int) -> str:
    return _counts_text(Counter({ComparisonResult.SAME: number}))


def _counts_text(counts: Counter[ComparisonResult]) -> str:
    parts = [
        f"{number:,} {words[number != 1]}"
        for result, words in _WORDS.items()
        if (number := counts[result])
    ]
    if not counts[ComparisonResult.SAME]:
        parts.insert(0, "no alert as before")
    return ", ".join(parts)


def _changed_period(row: ComparedAlert) -> str:
    """Return how the period of a trigger has changed, if a row tells it."""
    then, now = row.recorded.threshold, row.replayed.threshold
    if then is None or now is None or then.period == now.period:
        return ""
    old, new = period_text(then.period), period_text(now.period)
    return (
        f" (period {old} → {new}, so its windows are others; alerts "
        "whose windows overlap count as the same)"
    )
