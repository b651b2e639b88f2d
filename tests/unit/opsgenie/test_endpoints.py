from __future__ import annotations

import pytest

from stream_app.domain.errors import ConfigurationError
from stream_app.opsgenie.endpoints import (
    check_retry_scale,
    other_region,
    resolve_endpoint,
)

US = "https://api.opsgenie.com/v2/alerts"
EU = "https://api.eu.opsgenie.com/v2/alerts"
JSM = "https://api.atlassian.com/jsm/ops/integration/v2/alerts"
SANDBOX = "http://127.0.0.1:8480"


@pytest.mark.parametrize(
    ("api", "alerts_url", "integration_type"),
    [
        (US, US, "opsgenie"),
        (EU, EU, "opsgenie"),
        (JSM, JSM, "jsm"),
        ("https://api.opsgenie.com", US, "opsgenie"),
        ("https://api.opsgenie.com/", US, "opsgenie"),
        ("https://api.opsgenie.com/v2/alerts/", US, "opsgenie"),
        ("https://api.opsgenie.com:443/v2/alerts", US, "opsgenie"),
        ("https://API.EU.Opsgenie.com", EU, "opsgenie"),
        (" https://api.eu.opsgenie.com/v2/alerts\n", EU, "opsgenie"),
        ("https://api.atlassian.com/jsm/ops/integration", JSM, "jsm"),
        ("https://api.atlassian.com/jsm/ops/integration/", JSM, "jsm"),
    ],
)
def test_a_real_service_is_known_with_and_without_its_path(
    api: str, alerts_url: str, integration_type: str
) -> None:
    endpoint = resolve_endpoint(api, None)
    assert endpoint.alerts_url == alerts_url
    assert endpoint.integration_type == integration_type
    assert not endpoint.is_sandbox


@pytest.mark.parametrize("sandbox_url", [None, SANDBOX])
@pytest.mark.parametrize(
    "api",
    [
        "",
        "api.opsgenie.com",
        "http://api.opsgenie.com/v2/alerts",
        "https://api.opsgenie.com:8443/v2/alerts",
        "https://api.opsgenie.com:/v2/alerts",
        "https://api.opsgenie.com:x/v2/alerts",
        "https://user@api.opsgenie.com/v2/alerts",
        "https://api.opsgenie.com@evil.example/v2/alerts",
        "https://api.opsgenie.com.evil.example/v2/alerts",
        "https://evil.example/api.opsgenie.com/v2/alerts",
        "https://xapi.opsgenie.com/v2/alerts",
        "https://api.opsgenie.com./v2/alerts",
        "https://api.opsgenie.com/v2/alerts?x=1",
        "https://api.opsgenie.com/v2/alerts#x",
        "https://api.opsgenie.com/v2",
        "https://api.opsgenie.com/v2/alerts/v2/alerts",
        "https://api.opsgenie.com/jsm/ops/integration",
        "https://api.opsgenie.com/../v2/alerts",
        "https://api.opsgenie.com\\@evil.example/v2/alerts",
        "https://api.opsgenie.com\t.evil.example",
        "https://аpi.opsgenie.com/v2/alerts",  # noqa: RUF001 - the look-alike is the case
        "https://api.atlassian.com/v2/alerts",
        "https://api.atlassian.com",
        "ftp://api.opsgenie.com/v2/alerts",
        "https://[::1/v2/alerts",
        "http://127.0.0.1:9999/v2/alerts",
        "http://127.0.0.1/v2/alerts",
        "http://localhost:8480/v2/alerts",
        "https://127.0.0.1:8480/v2/alerts",
        "http://127.0.0.1:8480/other/v2/alerts",
        "http://169.254.169.254/v2/alerts",
    ],
)
def test_any_other_place_is_refused(api: str, sandbox_url: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"^target\.api: .* is not allowed") as caught:
        resolve_endpoint(api, sandbox_url)
    assert EU in str(caught.value)


@pytest.mark.parametrize(
    ("api", "alerts_url", "integration_type"),
    [
        (SANDBOX, f"{SANDBOX}/v2/alerts", "opsgenie"),
        (f"{SANDBOX}/", f"{SANDBOX}/v2/alerts", "opsgenie"),
        (f"{SANDBOX}/v2/alerts", f"{SANDBOX}/v2/alerts", "opsgenie"),
        (
            f"{SANDBOX}/jsm/ops/integration",
            f"{SANDBOX}/jsm/ops/integration/v2/alerts",
            "jsm",
        ),
    ],
)
def test_the_sandbox_of_the_setting_is_allowed(
    api: str, alerts_url: str, integration_type: str
) -> None:
    endpoint = resolve_endpoint(api, SANDBOX + "/")
    assert (endpoint.alerts_url, endpoint.integration_type) == (alerts_url, integration_type)
    assert endpoint.is_sandbox


def test_no_sandbox_is_allowed_without_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="STREAM_APP_DELIVERY__SANDBOX_URL"):
        resolve_endpoint(SANDBOX, None)


@pytest.mark.parametrize(
    "sandbox_url",
    [
        "",
        "https://127.0.0.1:8480",
        "http://example.com:8480",
        "http://10.0.0.1:8480",
        "http://0.0.0.0:8480",
        "http://localhost.evil.example:8480",
        "http://user@127.0.0.1:8480",
        "http://127.0.0.1:8480/?x",
        "http://127.0.0.1:8480/else",
    ],
)
def test_a_sandbox_off_loopback_is_refused_whatever_the_integration_names(sandbox_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^STREAM_APP_DELIVERY__SANDBOX_URL: "):
        resolve_endpoint(US, sandbox_url)


@pytest.mark.parametrize("sandbox_url", ["http://[::1]:8480", "http://localhost:8480"])
def test_every_loopback_name_can_be_a_sandbox(sandbox_url: str) -> None:
    assert resolve_endpoint(sandbox_url, sandbox_url).alerts_url == f"{sandbox_url}/v2/alerts"


@pytest.mark.parametrize(
    "api",
    [
        "https://:00000000-1111-2222-3333-444444444444@api.opsgenie.com",
        "https://api.opsgenie.com/?apiKey=00000000-1111-2222-3333-444444444444",
        "00000000-1111-2222-3333-444444444444",
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated_by_the_error(api: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve_endpoint(api, None)
    assert "444444444444" not in str(caught.value)


def test_shortened_waits_are_refused_with_a_real_service() -> None:
    with pytest.raises(ConfigurationError, match=r"RETRY_SCALE: 0\.1 is refused for https://api"):
        check_retry_scale(0.1, resolve_endpoint(US, SANDBOX))


def test_shortened_waits_are_allowed_with_a_sandbox() -> None:
    check_retry_scale(0.1, resolve_endpoint(SANDBOX, SANDBOX))


def test_documented_waits_are_allowed_everywhere() -> None:
    check_retry_scale(1.0, resolve_endpoint(EU, None))


def test_the_other_region_is_one_of_the_allowed_hosts() -> None:
    assert other_region(resolve_endpoint(US, None)) == ("EU", resolve_endpoint(EU, None))
    assert other_region(resolve_endpoint(EU, None)) == ("US", resolve_endpoint(US, None))


@pytest.mark.parametrize("api", [JSM, SANDBOX])
def test_jsm_and_a_sandbox_have_no_other_region(api: str) -> None:
    assert other_region(resolve_endpoint(api, SANDBOX)) is None
