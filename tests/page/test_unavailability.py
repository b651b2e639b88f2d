"""Section "System unavailability and incorrect integration parameters" of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import pytest

from tests.page.conftest import StartSystem
from tests.page.system import System, eventually
from tests.page.tenant import NOW, Tenant, messages

#: How many alerts fail at once. The shortest of their waits counts: a busy machine only adds time.
ALERTS = 4
FIRST, SECOND, THIRD = [1, 3, 5, 10, 10], [0, 1, 3, 5, 30], [1, 1, 3, 5, 10, 30]
#: The lengths of waits on the page, and a longer one.
STEPS = (0, 1, 3, 5, 10, 30, 60)
#: How much too short a wait may seem: two of the milliseconds that stamp requests, scaled.
EARLY = 0.01
#: The first two cycles take 34 s of waits, beside the first tests. A wait of 0 may then take
#: half a second; with less a busy machine is too slow.
SLOW_SCALE = 0.5


def incidents(tenant: Tenant, start: int, number: int) -> None:
    """Let a number of alerts go to the first integration."""
    tenant.send("incidents", *({"first_time": NOW + start + n} for n in range(number)))


def failing(system: System, requests: int) -> Tenant:
    """Let `ALERTS` alerts of a client fail this many times each, and then be accepted."""
    tenant = Tenant(system)
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, 1))
    tenant.apply(tenant.integration(), trigger)
    tenant.fail(kind="status", status=503, requests=requests * ALERTS)
    incidents(tenant, 0, ALERTS)
    return tenant


def waits(tenant: Tenant) -> list[float]:
    """Return the times between the requests of an alert as the service saw them, in seconds.

    They are divided by the system's scale, to be compared with the documented ones.
    """
    times: dict[str, list[float]] = {}
    for request in tenant.requests():
        at = datetime.fromisoformat(request["time"]).timestamp()
        times.setdefault(request["alias"], []).append(at)
    gaps = [[b - a for a, b in pairwise(row)] for row in times.values()]
    assert len(gaps) == ALERTS
    return [min(found) / tenant.system.scale for found in zip(*gaps, strict=True)]


def assert_waits(found: list[float], documented: list[int], unit_seconds: int) -> None:
    """Compare waits with the page's, which are in units of `unit_seconds`.

    The service sees a wait a little late and never early. So each is as long as documented, and
    shorter than the next longer one that the page has.
    """
    assert len(found) == len(documented)
    for seen, wanted in zip(found, documented, strict=True):
        longer = next(step for step in STEPS if step > wanted)
        assert wanted - EARLY <= seen / unit_seconds < longer, (found, documented)


def with_share(system: System, accepted: int) -> Tenant:
    """Let 18 requests of a client fail, 17 of them of one alert, and `accepted` ones succeed."""
    tenant = Tenant(system)
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, 1))
    others = (tenant.integration(2, "system"), tenant.integration(3, "security_issue_low"))
    tenant.apply(tenant.integration(1, "system"), *others, trigger)
    incidents(tenant, 0, accepted - 1)
    tenant.told(accepted - 1)
    tenant.fail(kind="status", status=503, requests=1)
    incidents(tenant, accepted, 1)
    tenant.told(accepted)
    tenant.fail(kind="status", status=503, requests=17)
    incidents(tenant, accepted + 1, 1)
    return tenant


def disabled(tenant: Tenant) -> bool:
    """Tell whether the system has disabled the first integration."""
    row = tenant.listed()
    assert row is not None
    return bool(row["state"] == "disabled")


@dataclass(frozen=True)
class Outages:
    """Clients with failing requests; the waits of `slow` are long enough to be measured.

    60 % of the requests of `broken` fail, and a little less of those of `spared`.
    """

    third: Tenant
    broken: Tenant
    spared: Tenant
    slow: Tenant


@pytest.fixture(scope="module", autouse=True)
def outages(system: System, start_system: StartSystem) -> Outages:
    """Begin all outages, which take a while; the first tests run meanwhile."""
    third = failing(system, len(FIRST + SECOND + THIRD))
    broken, spared = with_share(system, 12), with_share(system, 13)
    return Outages(third, broken, spared, failing(start_system(SLOW_SCALE), len(FIRST + SECOND)))


def test_notifications_are_sent_via_requests(tenant: Tenant) -> None:
    """Notifications to the system are sent via requests."""
    tenant.apply(tenant.integration(), tenant.trigger("incidents_exceeded", exceeds=(0, 1)))
    incidents(tenant, 0, 2)
    tenant.told(2)
    requests = [(row["method"], row["path"], row["status"]) for row in tenant.requests()]
    assert requests == [("POST", "/v2/alerts", 202)] * 2


def test_the_error_code_is_that_of_the_response(tenant: Tenant) -> None:
    """If the system is unavailable or integration parameters are configured incorrectly, \
the error code is returned in the response to the request."""
    wrong = {"token": f"no-key-of-opsgenie-{tenant.integration_id(2)}", "api": tenant.system.url}
    trigger = tenant.trigger("incidents_exceeded", exceeds=(0, 1), to=(1, 2))
    tenant.apply(tenant.integration(1), tenant.integration(2, target=wrong), trigger)
    tenant.fail(1, kind="status", status=503, requests=1)
    incidents(tenant, 0, 1)
    tenant.told(1)
    eventually(lambda: len(tenant.requests(2)) >= 2)
    for place, codes in ((1, [503, 202]), (2, [422, 422])):
        assert [row["status"] for row in tenant.requests(place)][:2] == codes
        results = tenant.system.records("delivery-results", tenant.integration_id(place))
        assert [row["status"] for row in results if "attempt" in row][:2] == codes


def test_a_request_is_resent_after_any_other_code_until_a_2xx_code(tenant: Tenant) -> None:
    """If the system responds to Wallarm request with any code other than `2xx`, Wallarm resends \
the request with the interval until the `2xx` code is received:"""
    tenant.apply(tenant.integration(), tenant.trigger("incidents_exceeded", exceeds=(0, 1)))
    codes = [302, 400, 401, 403, 404, 422, 429, 500, 503]
    for code in codes:
        kind = "redirect" if code < 400 else "status"
        tenant.fail(kind=kind, status=code, requests=1)
    incidents(tenant, 0, 1)
    tenant.told(1)
    assert [row["status"] for row in tenant.requests()] == [*codes, 202]
    assert len({row["alias"] for row in tenant.requests()}) == 1


def test_the_first_cycle_has_the_documented_intervals(outages: Outages) -> None:
    """The first cycle intervals: 1, 3, 5, 10, 10 seconds"""
    outages.slow.told(ALERTS)
    assert_waits(waits(outages.slow)[:5], FIRST, 1)


def test_the_second_cycle_has_the_documented_intervals(outages: Outages) -> None:
    """The second cycle intervals: 0, 1, 3, 5, 30 seconds"""
    outages.slow.told(ALERTS)
    assert_waits(waits(outages.slow)[5:], SECOND, 1)


def test_the_third_cycle_has_the_documented_intervals(outages: Outages) -> None:
    """The third cycle intervals: 1, 1, 3, 5, 10, 30 minutes"""
    outages.third.told(ALERTS)
    assert_waits(waits(outages.third)[10:], THIRD, 60)


def test_an_integration_is_disabled_at_60_percent_of_unsuccessful_requests(
    outages: Outages,
) -> None:
    """If the percentage of unsuccessful requests reaches 60% in 12 hours, the integration is \
automatically disabled."""
    for tenant, number in ((outages.broken, 30), (outages.spared, 31)):
        eventually(lambda t=tenant, n=number: len(t.requests()) >= n)  # type: ignore[misc]
    eventually(lambda: disabled(outages.broken))
    row = outages.broken.listed()
    assert row is not None
    assert row["detail"] == "failed_share: 18 of 30 requests failed in 12 h"
    for tenant in (outages.broken, outages.spared):
        incidents(tenant, 50, 1)
    outages.spared.told(14)
    outages.broken.told(12)
    assert not disabled(outages.spared), "18 of 31 are less"


def test_those_who_receive_system_notifications_are_told_of_it(outages: Outages) -> None:
    """If you receive system notifications, you will get a message about automatically disabled \
integration."""
    tenant = outages.broken
    (alert,) = tenant.told(1, place=2)
    assert alert["message"] == "[Wallarm] Integration was disabled because of delivery errors"
    number = tenant.integration_id(1)
    assert f'"On-call 1" (ID {number}) was disabled because' in alert["description"]
    assert "18 of 30 requests of the last 12 hours failed" in alert["description"]
    assert tenant.told(0, place=3) == []
    assert messages(outages.spared.told(0, place=2)) == []
