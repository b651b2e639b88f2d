"""The page of a backtest in a real Chromium: it can be read on a phone and on a desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.cli.triggers import report_html
from stream_app.domain.backtest.backtest import EventSample
from stream_app.domain.backtest.findings import Findings
from tests.unit.cli.triggers.browser import Browser
from tests.unit.cli.triggers.test_reports import HOUR, START, findings

FAULTS = (Path(__file__).parent / "page_faults.js").read_text()
PHONE, DESK = 390, 1280
LONG = f"A name with some words, a-word-of-many-parts-without-a-blank and {'x' * 150}"
RIGHT_TO_LEFT = "تنبيه حول الحوادث على الخادم וגם בעברית"
HOURS = 60 * 24


def _many() -> Findings:
    """Return two months of windows, one of them far larger, and long texts in all events."""
    counts = {START + n * HOUR: 5 + n * 37 % 500 for n in range(HOURS)} | {START: 1_234_567}
    facts = {"host": "sub." * 50 + "example.com", "ip": "2001:db8:85a3:1234:5678:8a2e:370:7334"}
    sample = EventSample(3, 123_456_789_012, START, facts)
    ends = {"to_ms": (START + HOURS * HOUR) * 1000}
    return findings(counts, LONG, samples={start: [sample] for start in counts}, **ends)


CASES = {
    "one window": (findings({START + HOUR: 50}), 10),
    "a week": (findings(), 10),
    "long names and 40 windows": (_many(), 40),
    "from right to left": (findings(name=RIGHT_TO_LEFT), 10),
    "just above the threshold": (findings({START: 41, START + 9 * HOUR: 7}), 10),
    "far below the threshold": (findings({START: 2}), 10),
    "nothing": (findings({}), 10),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.mark.parametrize("name", CASES)
def test_a_page_is_readable(name: str, browser: Browser, tmp_path: Path) -> None:
    """In all widths and schemes nothing sticks out, overlaps, is broken, tiny or pale."""
    found, top = CASES[name]
    file = tmp_path / "page.html"
    file.write_text(report_html.page(found, top), encoding="utf-8")
    for width in (PHONE, DESK):
        for is_dark in (False, True):
            browser.show(file, width, is_dark=is_dark)
            assert browser.value(f"({FAULTS})({width})") == [], (width, is_dark)
            paper = browser.value("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(255, 255, 255)") is not is_dark


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<pre>" + "wide " * 100, "the page is"),
        ("<p style='font-size: 7px'>tiny</p>", "pixels high: tiny"),
        ("<p style='color: #999; background: #fff'>pale</p>", "contrast 2.8: pale"),
        ("<p style='width: 5em'>2026-01-02T03:04:05Z</p>", "broken: 2026-01-02T03:04:05Z"),
        ("<p>below</p><p style='margin-top: -2.2em'>above</p>", "overlaps: "),
        ("<p style='margin-left: -30px'>cut</p>", "beyond the edge: cut"),
    ],
)
def test_each_fault_is_found(html: str, fault: str, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(f'<meta name="viewport" content="width=device-width"/>{html}')
    browser.show(file, PHONE)
    assert fault in "\n".join(browser.value(f"({FAULTS})({PHONE})"))
