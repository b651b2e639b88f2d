"""Settings that are more than a number or a word."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from stream_app.domain.errors import ConfigurationError
from stream_app.settings import load_settings, secret_variables

NAME = "STREAM_APP_CONSOLE_HOSTS"
OPERATOR = "STREAM_APP_OPERATOR_INTEGRATION"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", {}),
        ("EU=console.acme.example", {"EU": "console.acme.example"}),
        (" EU=a.example:8443, UK2=b-1.example ,", {"EU": "a.example:8443", "UK2": "b-1.example"}),
    ],
)
def test_console_hosts_are_given_by_cloud(
    monkeypatch: pytest.MonkeyPatch, text: str, hosts: dict[str, str]
) -> None:
    monkeypatch.setenv(NAME, text)
    assert load_settings().console_hosts == hosts


@pytest.mark.parametrize(
    "text", ["platform", "521,522", "0", "-1", "1.5", "true", "9223372036854775808"]
)
def test_an_operator_integration_is_the_id_of_one(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(OPERATOR, "521")
    assert load_settings().operator_integration == 521
    monkeypatch.setenv(OPERATOR, text)
    with pytest.raises(ConfigurationError, match=f"^{OPERATOR}: Input should be "):
        load_settings()


def test_without_console_hosts_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert load_settings().console_hosts == {}


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize(
    "variable",
    [
        "PARTITIONS",
        "DRY_RUN",
        "LOG__LEVEL",
        "HTTP__HOST",
        "KAFKA__SSL_CAFILE",
        "KEY_DIR",
        "EMBEDDED__DIRECTORY",
        "KAFKA__SESSION_TIMEOUT_SECONDS",
        "DELIVERY__RETRY_SCALE",
        "OPERATOR_INTEGRATION",
    ],
)
def test_an_empty_setting_is_named_and_said_to_be_empty(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(f"STREAM_APP_{variable}", text)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value) == (
        f"STREAM_APP_{variable} is empty: give it a value, or leave the variable out"
    )


def test_a_wrong_value_among_several_is_reported_with_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STREAM_APP_DETECTOR__ALLOWED_PERIODS", "1, x")
    with pytest.raises(ConfigurationError, match=r"^STREAM_APP_DETECTOR__ALLOWED_PERIODS: "):
        load_settings()


def test_kinds_of_events_that_may_stay_away_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().detector.quiet_events == ()
    name = "STREAM_APP_DETECTOR__QUIET_EVENTS"
    monkeypatch.setenv(name, "incidents, attacks,")
    assert load_settings().detector.quiet_events == ("incidents", "attacks")
    monkeypatch.setenv(name, "incident")
    with pytest.raises(ConfigurationError, match=f"^{name}: .*'attacks', 'hits' or 'incidents'"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("EU", "EU="),
        ("EU=", "EU="),
        ("=a.example", "=a.example"),
        ("eu=a.example", "eu=a.example"),
        ("EU=https://a.example", "EU=https://a.example"),
        ("EU=a.example/path", "EU=a.example/path"),
        ("EU=a.example:port", "EU=a.example:port"),
        ("EU=a..example", "EU=a..example"),
        ("EU=A.example", "EU=A.example"),
        ("US=a.example,EU=bad host", "EU=bad host"),
        ("EU=a.example,EU=b.example", "EU"),
    ],
)
def test_an_invalid_console_host_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value).startswith(f"{NAME}: ")
    assert part in str(error.value)


SECRET = "fake-secret-not-real"


def test_the_secrets_are_the_settings_whose_type_says_so() -> None:
    assert secret_variables() == [
        "STREAM_APP_KAFKA__SSL_KEY_PASSWORD",
        "STREAM_APP_KAFKA__SASL_PASSWORD",
        "STREAM_APP_KAFKA__OAUTH_CLIENT_SECRET",
        "STREAM_APP_HTTP__TOKEN",
        "STREAM_APP_DELIVERY__PROXY_URL",
        "STREAM_APP_HEARTBEAT__API_TOKEN",
        "STREAM_APP_HEARTBEAT__URL",
        "STREAM_APP_SECRET_KEYS",
    ]


KAFKA, HEARTBEAT = "STREAM_APP_KAFKA__", "STREAM_APP_HEARTBEAT__"
#: What a secret is used with.
SASL = {f"{KAFKA}SECURITY_PROTOCOL": "SASL_SSL"}
COMPANIONS = {
    f"{KAFKA}SSL_KEY_PASSWORD": {
        f"{KAFKA}SECURITY_PROTOCOL": "SSL",
        f"{KAFKA}SSL_CERTFILE": "worker.crt",
        f"{KAFKA}SSL_KEYFILE": "worker.key",
    },
    f"{KAFKA}SASL_PASSWORD": SASL | {f"{KAFKA}SASL_USERNAME": "bo"},
    f"{KAFKA}OAUTH_CLIENT_SECRET": SASL
    | {
        f"{KAFKA}SASL_MECHANISM": "OAUTHBEARER",
        f"{KAFKA}OAUTH_TOKEN_URL": "https://login.example/token",
        f"{KAFKA}OAUTH_CLIENT_ID": "worker",
    },
    f"{HEARTBEAT}API_TOKEN": {
        f"{HEARTBEAT}TARGET": "jsm",
        f"{HEARTBEAT}NAME": "pager",
        f"{HEARTBEAT}CLOUD_ID": "11111111-2222-3333-4444-555555555555",
        f"{HEARTBEAT}TEAM_ID": "4b26961a-a837-49d2-a1fe-0973013e3c3b",
        f"{HEARTBEAT}EMAIL": "ops@acme.example",
    },
    f"{HEARTBEAT}URL": {
        f"{HEARTBEAT}TARGET": "url",
        f"{HEARTBEAT}URL_HOSTS": "hc-ping.com",
    },
}
#: Secrets that are more than any text.
FORMS = {f"{HEARTBEAT}URL": f"https://hc-ping.com/{SECRET}"}


def value_of(variable: str) -> str:
    found: Any = load_settings()
    for name in variable.removeprefix("STREAM_APP_").lower().split("__"):
        found = getattr(found, name)
    return str(found.get_secret_value())


@pytest.mark.parametrize(
    ("ending", "mark"),
    [("", b""), ("\n", b""), ("\r\n", b""), ("\n\n", b""), ("\r\n", b"\xef\xbb\xbf")],
)
@pytest.mark.parametrize("variable", secret_variables())
def test_every_secret_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, ending: str, mark: bytes
) -> None:
    file = tmp_path / "secret"
    secret = FORMS.get(variable, SECRET)
    file.write_bytes(mark + f" {secret}".encode() + ending.encode())
    for name, value in COMPANIONS.get(variable, {}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    assert value_of(variable) == f" {secret}"
    assert SECRET not in repr(load_settings())


def test_a_secret_in_a_file_leaves_its_neighbours_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(SECRET)
    for name, value in COMPANIONS["STREAM_APP_KAFKA__SASL_PASSWORD"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STREAM_APP_KAFKA__SASL_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("STREAM_APP_PARTITIONS", "3")
    settings = load_settings()
    assert (settings.kafka.sasl_username, settings.partitions) == ("bo", 3)
    assert settings.kafka.sasl_password is not None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no secret"),
        (b"\n\n", "holds no secret"),
        (b"  \n", "holds no secret"),
        (SECRET.encode() + b"\0", "holds no secret"),
        (SECRET.encode() + b"\xff", "is no UTF-8 text"),
        (SECRET.encode() * 10_000, "holds more than 65536 bytes"),
        (None, "No such file or directory"),
        ("folder", "Is a directory"),
    ],
)
@pytest.mark.parametrize("variable", secret_variables())
def test_a_file_without_a_secret_is_named_and_its_content_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    content: bytes | str | None,
    problem: str,
) -> None:
    file = tmp_path / "secret"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.mkdir()
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value).startswith(f"{variable}_FILE: {file}: {problem}")
    assert SECRET not in str(error.value)


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(SECRET)
    monkeypatch.setenv("STREAM_APP_SECRET_KEYS", SECRET)
    monkeypatch.setenv("STREAM_APP_SECRET_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value) == (
        "STREAM_APP_SECRET_KEYS and STREAM_APP_SECRET_KEYS_FILE are both set: unset one of them"
    )
    monkeypatch.delenv("STREAM_APP_SECRET_KEYS")
    monkeypatch.setenv("STREAM_APP_SECRET_KEYS_FILE", "")
    with pytest.raises(ConfigurationError, match="STREAM_APP_SECRET_KEYS_FILE is empty"):
        load_settings()


def service(name: str) -> dict[str, str]:
    """Return what Kubernetes sets for a Service with one named port and one more."""
    base = name.upper().replace("-", "_")
    found = {
        f"{base}_SERVICE_HOST": "10.0.0.11",
        f"{base}_SERVICE_PORT": "8080",
        f"{base}_SERVICE_PORT_METRICS": "8080",
        f"{base}_PORT": "tcp://10.0.0.11:8080",
    }
    for port, protocol in ((8080, "TCP"), (53, "UDP"), (99, "SCTP")):
        one = f"{base}_PORT_{port}_{protocol}"
        found |= {
            one: f"{protocol.lower()}://10.0.0.11:{port}",
            f"{one}_PROTO": protocol.lower(),
            f"{one}_PORT": str(port),
            f"{one}_ADDR": "10.0.0.11",
        }
    return found


@pytest.mark.parametrize(
    "name",
    [
        "stream-app", "stream-app-detector", "stream-app-notifier", "stream-app-http",
        "stream-app-kafka", "stream-app-log", "stream-app-2", "stream-app-kafka--x",
        "stream-app-delivery--proxy-url",
    ],
)  # fmt: skip
def test_variables_that_kubernetes_sets_for_a_service_are_no_settings(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = load_settings()
    for variable, value in service(name).items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == before


@pytest.mark.parametrize(
    ("variable", "value", "meant"),
    [
        ("STREAM_APP_HTTP_PORT", "9464", "STREAM_APP_HTTP__PORT"),
        ("STREAM_APP_HTTP__PORTS", "9464", "STREAM_APP_HTTP__PORT"),
        ("STREAM_APP_SECRET_KEY", "x", "STREAM_APP_SECRET_KEYS"),
        ("STREAM_APP_SECRET_KEY_FILE", "/x", "STREAM_APP_SECRET_KEYS_FILE"),
        ("STREAM_APP_TOPIC_PREFIX_FILE", "/x", "STREAM_APP_TOPIC_PREFIX"),
        ("STREAM_APP_KAFKA__SASL_PASSWORDS", "x", "STREAM_APP_KAFKA__SASL_PASSWORD"),
        ("STREAM_APP_BOOTSTRAP_SERVERS", "x:1", "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS"),
        (
            "STREAM_APP_DELIVERY__TIMOUT",
            "3",
            " or ".join(
                f"STREAM_APP_DELIVERY__{kind}_TIMEOUT_SECONDS" for kind in ("CONNECT", "REQUEST")
            ),
        ),
    ],
)
def test_a_mistyped_setting_is_still_an_error_beside_a_service(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, meant: str
) -> None:
    for name, one in service("stream-app").items():
        monkeypatch.setenv(name, one)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert str(error.value) == (f"{variable} is not a setting of stream-app: did you mean {meant}?")


@pytest.mark.parametrize("variable", ["STREAM_APP_", "STREAM_APP_KAFKA_BROKERS", "STREAM_APP_XYZ"])
def test_a_name_that_is_like_no_setting_is_not_guessed_at(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigurationError, match=r"of stream-app: deploy/settings\.md lists them$"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TOPIC_PREFIX", "acme. "), ("DRY_RUN", "true\n"), ("LOG__LEVEL", " info")],
)
def test_blanks_around_a_value_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"STREAM_APP_{variable}", value)
    with pytest.raises(ConfigurationError, match=f"^STREAM_APP_{variable}: .*: take the blanks or"):
        load_settings()
    monkeypatch.setenv(f"STREAM_APP_{variable}", f"{value.strip()}?")
    with pytest.raises(ConfigurationError, match=f"^STREAM_APP_{variable}: (?!.*blanks)"):
        load_settings()


def test_a_secret_file_of_another_user_names_who_must_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setenv("STREAM_APP_SECRET_KEYS_FILE", "/etc/stream-app/secret-keys")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match=f"let the user with the id {os.geteuid()} read"):
        load_settings()
