"""The page's example: a notification if 2 or more incidents are detected in one second."""

from __future__ import annotations

from tests.page.page import example
from tests.page.system import System
from tests.page.tenant import NOW, Tenant, text

NAME, COMPANY = "Notification about incidents", "TestCompany"
SERVER, DATABASE, CLIENT = ({"target": name} for name in ("server", "database", "client"))


def configured(
    system: System, *, name: str = NAME, company: str | None = None, cloud: str = "EU"
) -> Tenant:
    """Apply what the page describes; names may differ, as no two clients can share one."""
    named = {} if company is None else {"name": company}
    tenant = Tenant(system, cloud=cloud, **named)
    target = ("target", "eq", ["server", "database"])
    trigger = tenant.trigger("incidents_exceeded", target, exceeds=(1, 1), name=name)
    tenant.apply(tenant.integration(), trigger)
    return tenant


def notified(tenant: Tenant) -> str:
    """Let two incidents happen in one second; return what Opsgenie is sent."""
    tenant.send("incidents", SERVER, DATABASE)
    (alert,) = tenant.told(1)
    return text(alert)


def documented_text(company: str = COMPANY) -> str:
    """Return the page's text with the time of the incidents and the name of a client."""
    found = example().replace("time_from=XXXXXXXXXX", f"time_from={NOW}")
    found = found.replace(COMPANY, company)
    return found.replace("time_to=XXXXXXXXXX", f"time_to={NOW + 1}")


def test_two_incidents_with_the_server_or_database_in_one_second_notify(system: System) -> None:
    """If 2 or more incidents with the application server or database are detected in one second, \
the notification about this event will be sent to Opsgenie."""
    tenant = configured(system)
    tenant.send("incidents", SERVER, CLIENT, CLIENT, DATABASE | {"first_time": NOW + 1})
    tenant.send("incidents", *[one | {"first_time": NOW + 2} for one in (SERVER, DATABASE)])
    (alert,) = tenant.told(1)
    assert f"time_from={NOW + 2}&" in alert["description"], "there is one in each second before"


def test_two_or_more_recorded_incidents_are_one_notification(system: System) -> None:
    """Two or more recorded incidents will trigger sending the following notification to \
Opsgenie:"""
    tenant = configured(system)
    tenant.send("incidents", *[SERVER] * 5)
    (alert,) = tenant.told(1)
    assert text(alert) == documented_text(tenant.client["name"])
    assert alert["count"] == 1


def test_the_notification_is_that_of_the_page_byte_for_byte(system: System) -> None:
    """[Wallarm] Trigger: The number of incidents exceeded the threshold … Client: TestCompany \
Cloud: EU"""
    found = notified(configured(system, company=COMPANY))
    assert found.encode() == documented_text().encode()


def test_the_trigger_is_named_in_it(system: System) -> None:
    """`Notification about incidents` is the trigger name"""
    tenant = configured(system, name="Two at once")
    expected = documented_text(tenant.client["name"])
    assert notified(tenant) == expected.replace(f'"{NAME}"', '"Two at once"')


def test_the_company_is_named_in_it(system: System) -> None:
    """`TestCompany` is the name of your company account in Wallarm Console"""
    found = notified(configured(system, company="Acme Retail"))
    assert found == documented_text("Acme Retail")


def test_the_cloud_is_named_in_it(system: System) -> None:
    """`EU` is the Wallarm Cloud where your company account is registered"""
    tenant = configured(system, cloud="US")
    expected = documented_text(tenant.client["name"]).replace("Cloud: EU", "Cloud: US")
    assert notified(tenant) == expected.replace("//my.wallarm.com", "//us1.my.wallarm.com")
