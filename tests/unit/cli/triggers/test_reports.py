"""The report of a backtest: its text word for word, and a page that loads nothing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import orjson
import pytest

from stream_app.cli.output import print_line
from stream_app.cli.triggers import report_html, report_text
from stream_app.cli.triggers.charts import bar, column_chart
from stream_app.domain.backtest.backtest import EventSample
from stream_app.domain.backtest.findings import Findings
from stream_app.domain.configuration.repeat_options import (
    EACH_WINDOW,
    Deduplicate,
    RepeatOptions,
)
from stream_app.domain.configuration.triggers import Filter, Threshold, Trigger
from stream_app.domain.replay.counting_replay import ReplayFigures

GOLDEN = Path(__file__).parent / "golden" / "backtest.txt"
START = 1_767_225_600
HOUR = 3600
HOSTILE = '<script src="https://evil.example/x.js">\x1b[31m'


def findings(counts: dict[int, int] | None = None, name: str = "Hits", **more: Any) -> Findings:
    trigger = Trigger(61, 1111, name, "hits_exceeded", True, (), Threshold(40, HOUR), (521,), 0)
    if counts is None:
        counts = {START + HOUR * n: 5 + n * 7 % 50 for n in range(0, 168, 2)}
        counts[START + 30 * HOUR] = 95
    known: dict[str, Any] = {
        "trigger": trigger,
        "counts": counts,
        "figures": ReplayFigures(
            Counter(counted=sum(counts.values()) - 12, late=12, unmatched=4000),
            Counter(undecodable=3),
        ),
        "records": 9000,
        "from_ms": START * 1000,
        "to_ms": (START + 168 * HOUR) * 1000,
        "read_ms": (START * 1000, (START + 168 * HOUR) * 1000),
        "integrations": {521: RepeatOptions(Deduplicate.EPISODE, 3600, 7200), 522: EACH_WINDOW},
        "samples": {
            START + 30 * HOUR: [
                EventSample(3, 1042, START + 30 * HOUR + 7, {"type": "sqli", "host": name}),
                EventSample(3, 1043, START + 30 * HOUR + 8, {"response_status": "500"}),
            ]
        },
    }
    return Findings(**known | more)


def test_the_text_is_that_of_the_golden_file() -> None:
    text = "\n".join(report_text.report(findings(), 3, None)) + "\n"
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("width", [60, 80])
def test_a_terminal_gets_lines_that_fit_and_whole_words(width: int) -> None:
    counts = {START + HOUR * n: 1_234_567 + n for n in range(0, 168, 2)}
    for found in (findings(), findings(counts), findings(name="long name " * 20)):
        whole = list(report_text.report(found, 3, None))
        lines = list(report_text.report(found, 3, width))
        assert max(map(len, lines)) <= width
        words = {word for line in whole for word in line.split() if any(map(str.isalpha, word))}
        assert words <= {word for line in lines for word in line.split()}
    assert any(line.endswith("as it is") for line in lines)


def test_columns_above_the_threshold_are_marked() -> None:
    lines = column_chart([0, 1, 5, 10], 4, height=4)
    assert lines == [
        "10 │   █",
        "   │   █",
        " 4 │┈┈██",
        "   │ ▃██",
        " 0 └────",
    ]
    assert [list(line.marked) for line in lines] == [[7], [7], [6, 7], [6, 7], []]
    assert column_chart([0], 0, height=2) == ["  │", "0 │┈", "0 └─"]


def test_the_largest_value_and_the_mark_have_labels_even_if_they_are_close() -> None:
    assert column_chart([0, 20, 51, 53], 50, height=4) == [
        "53 │  ▃█",
        "50 │┈┈██",
        "   │  ██",
        "   │ ▅██",
        "   │ ███",
        " 0 └────",
    ]
    assert column_chart([20, 53], 55, height=4) == [
        "55 │┈┈",
        "53 │ ▇",
        "   │ █",
        "   │▄█",
        "   │██",
        " 0 └──",
    ]
    assert column_chart([1, 300], 1000, height=4) == [
        "1,000 │┈┈",
        "      │",
        "  300 │ ▂",
        "      │▁█",
        "    0 └──",
    ]


@pytest.mark.parametrize(("share", "text"), [(0, ""), (1, "████"), (0.5, "██"), (0.001, "▏")])
def test_a_bar_is_a_share_of_its_width(share: float, text: str) -> None:
    assert bar(share, 4) == text


def test_a_page_is_well_formed_and_loads_nothing() -> None:
    page = report_html.page(findings(name=HOSTILE), top=3)
    assert page.startswith("<!DOCTYPE html>\n")
    root = ET.fromstring(page.partition("\n")[2])  # noqa: S314 - our own page
    tags = Counter(element.tag for element in root.iter())
    assert tags["svg"] == 1
    assert tags["table"] == 4
    assert not tags.keys() & {"script", "link", "img", "iframe", "object", "a", "image", "use"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"src", "href", "onload", "onclick", "action", "data"}
    style = "".join(element.text or "" for element in root.iter("style"))
    assert not re.search(r"url\(|@import", style)
    assert "default-src 'none'" in page
    assert "evil.example" in "".join(root.itertext())
    assert "\x1b" not in page


def test_a_page_names_its_days_and_what_each_bar_is() -> None:
    page = report_html.page(findings(), top=1)
    assert re.findall(r'%">(\d\d-\d\d)<', page) == [f"01-0{day}" for day in range(1, 8)]
    assert "<title>2026-01-02T06:00:00Z: 95</title>" in page
    assert re.search(r'>3\.43</td><td class="n">4</td>.*> as it is</td>', page)
    assert "The newest first." in page
    hours = findings({START: 50}, to_ms=(START + 6 * HOUR) * 1000)
    assert '%">03:00<' in report_html.page(hours, top=1)
    years = findings({START: 5}, to_ms=(START + 2000 * 24 * HOUR) * 1000)
    assert "It would not have fired." in report_html.page(years, top=1)


def test_filters_are_worded_as_in_alerts() -> None:
    filters = (
        Filter("attack_type", "eq", ("sqli", "xss")),
        Filter("target", "ne", ("client",)),
        Filter("domain", "eq", ()),
    )
    found = findings()
    trigger = msgspec.structs.replace(found.trigger, filters=filters)
    (line, *_) = report_text.summary(findings(trigger=trigger))
    assert line == "Only: Attack type: SQLi, XSS. Target: not client."


def test_text_of_events_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for line in report_text.report(findings(name=HOSTILE), 1, None):
        print_line(line)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "evil.example" in text


def test_json_has_every_fired_window() -> None:
    found = orjson.loads(orjson.dumps(report_text.as_json(findings(), top=2)))
    assert len(found["fired"]) == found["alerts"] > report_text.SHOWN_FIRED
    assert found["busiest"][0]["count"] == 95
    assert found["busiest"][0]["samples"][0]["offset"] == 1042
    assert {"threshold": 40, "note": "as it is"}.items() <= next(
        row for row in found["thresholds"] if row["threshold"] == 40
    ).items()


def test_what_the_options_make_of_the_fired_windows_is_shown_beside_them() -> None:
    found = findings()
    rows = orjson.loads(orjson.dumps(report_text.as_json(found, top=2)))["pages"]
    assert rows[1] == {
        "deduplicate": "episode", "repeat_seconds": 3600, "close_after_seconds": 7200,
        "pages": 23, "repeats": 1, "folded": 0, "integration_ids": [521],
    }  # fmt: skip
    assert [(row["pages"], row["integration_ids"]) for row in rows] == [
        (24, [522]), (23, [521]), (1, []), (1, []),
    ]  # fmt: skip
    assert "24 windows, 24 pages at integration 522" in report_html.page(found, 1)
    quiet = findings({START: 1})
    assert "PAGES" not in "\n".join(report_text.report(quiet, 1, None))
    unknown = findings(integrations={})
    assert report_text.pages_headline(unknown).startswith("24 windows. What ")


def test_loaded_and_left_out_records_are_reported() -> None:
    text = "\n".join(
        report_text.summary(
            findings(is_loaded=True, outside={0: 7}, read_ms=(1_767_900_000_000, 1_767_900_060_000))
        )
    )
    assert "9,000 records from 2026-01-08T19:20:00Z to 2026-01-08T19:21:00Z" in text
    assert "Windows with events: 84, from 2026-01-01T00:00:00Z to 2026-01-07T23:00:00Z." in text
    assert "they were loaded at once: the days are those of the events" in text
    assert "Left out of all figures: 7 events in 1 window of other times" in text


def test_a_short_time_gives_no_rate_per_day() -> None:
    short = findings({START: 50}, to_ms=(START + HOUR) * 1000, read_ms=(START * 1000,) * 2)
    text = "\n".join(report_text.report(short, 1, None))
    assert "It would have fired 1 time in 1 hour.\n" in text
    assert "too short for figures a day" in text
    assert re.search(r"^ +40 +1 +- +1  █+  as it is$", text, re.MULTILINE)
    found = orjson.loads(orjson.dumps(report_text.as_json(short, top=1)))
    assert found["alerts_per_day"] is None
    assert {row["per_day"] for row in found["thresholds"]} == {None}
    page = report_html.page(short, top=1)
    assert '>1</td><td class="n">-</td>' in page


def test_events_of_unknown_clients_are_reported() -> None:
    nothing = findings({})
    nothing.figures.rejected["unknown_client"] = 3
    assert "name a client that is not known by that name" in report_text.summary(nothing)[-1]


def test_without_counted_events_the_report_says_so_and_draws_nothing() -> None:
    nothing = findings({})
    nothing.figures.results.clear()
    text = "\n".join(report_text.report(nothing, 3, None))
    assert "No event of client 1111 was counted" in text
    assert "THRESHOLD" not in text
    assert "<svg" not in report_html.page(nothing, top=3)
