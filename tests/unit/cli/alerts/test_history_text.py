"""The history of an alert as a person reads it, in a pipe and on a narrow terminal."""

from __future__ import annotations

from dataclasses import replace

from stream_app.cli.alerts.history_text import fitted, lines_of
from stream_app.domain.reports.alert_history import AlertHistory
from stream_app.domain.reports.next_steps import IntegrationNow, Surroundings
from stream_app.kafka.history.window_counts import ObservedCount
from tests.unit.domain.reports.test_alert_history import ACCEPTED, ALERT, FAILED, history

AROUND = Surroundings({521: IntegrationNow("On-call", ALERT.client_id)}, 10_500, 1, 3_600_000)


def lines() -> list[str]:
    alert = AlertHistory(ALERT, 8_000)
    second = replace(history(FAILED, ACCEPTED), integration_id=522)
    alert.deliveries = {521: history(FAILED), 522: second}
    return list(lines_of(alert, ObservedCount(1234, is_whole=False), AROUND))


def test_each_integration_has_its_course_and_what_follows() -> None:
    text = lines()
    assert next(one for one in text if one.startswith("events")).startswith(
        "events   at least 1,234"
    )
    assert "integration 521 (On-call): pending (server_error)" in text
    assert "integration 522: sent" in text
    assert text.count("  message  Title") == 1
    assert text.count("  message  the same as at integration 521") == 1
    assert sum(one.startswith("  next     ") for one in text) >= 2


def test_a_line_too_long_for_the_terminal_goes_on_behind_its_label_without_cutting_words() -> None:
    for line in lines():
        assert fitted(line, None) == [line]
        parts = fitted(line, 60)
        assert " ".join(part.strip() for part in parts).split() == line.split()
        assert all(len(part) <= 60 or " " not in part.strip()[:60] for part in parts[1:])
    # Characters may take two columns, or become longer when they are shown as escapes.
    wide = fitted("  message  " + "警報 " * 8, 40)
    assert [line.count("警報") for line in wide] == [6, 2]
    assert len(fitted("  message  " + "\x1b[0m " * 6, 40)) == 2
    (first, second, *_) = fitted("  next     " + "word " * 20, 40)
    assert (first[:11], second[:11]) == ("  next     ", " " * 11)
