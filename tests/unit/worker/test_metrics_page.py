"""What a scrape of a worker gets, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from stream_app.metrics import Metrics
from stream_app.worker.health import Health, HealthServer

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4", "\n"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", "\n# EOF\n"),
    ],
)
async def test_old_and_new_scrapers_get_the_format_that_they_ask_for(
    accept: str, content_type: str, end: str
) -> None:
    metrics = Metrics("detector")
    server = HealthServer(Health(metrics), metrics, "127.0.0.1", 0)
    url = await server.start()
    try:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{url}/metrics", headers={"Accept": accept})
    finally:
        await server.stop()
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.text.endswith(end)
    assert 'stream_app_events_total{kind="hits",result="counted"} 0.0' in answer.text
    assert "stream_app_ready 1.0" in answer.text
    assert "stream_app_deliveries" not in answer.text, "a detector has none"
