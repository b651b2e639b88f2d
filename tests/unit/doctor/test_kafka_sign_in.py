"""What `doctor` says of the sign-in to Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_app.doctor.check import CheckStatus
from stream_app.doctor.local import kafka_sign_in
from stream_app.domain.errors import ConfigurationError
from stream_app.settings import Settings
from tests.tls.authority import Authority


def settings(**given: Any) -> Settings:
    return Settings.model_validate({"kafka": given})


async def test_it_says_how_a_client_signs_in() -> None:
    (finding,) = await kafka_sign_in(settings())
    assert (finding.verdict, finding.text) == (CheckStatus.OK, "PLAINTEXT")
    sasl = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512"}
    (finding,) = await kafka_sign_in(settings(**sasl, sasl_username="bo", sasl_password="fake"))
    assert (finding.verdict, finding.text) == (CheckStatus.OK, "SASL_PLAINTEXT, SCRAM-SHA-512")


@pytest.mark.parametrize(
    ("is_expired", "verdict", "part"),
    [(False, CheckStatus.WARN, "in 0 days"), (True, CheckStatus.FAIL, "no broker takes it")],
)
async def test_a_client_certificate_that_ends_soon_or_has_ended_is_told(
    tmp_path: Path, *, is_expired: bool, verdict: CheckStatus, part: str
) -> None:
    pair = Authority(tmp_path).pair("worker", is_expired=is_expired)
    files = {"ssl_certfile": pair.certfile, "ssl_keyfile": pair.keyfile}
    (finding,) = await kafka_sign_in(settings(security_protocol="SSL", **files))
    assert finding.verdict is verdict
    assert "STREAM_APP_KAFKA__SSL_CERTFILE" in finding.text
    assert part in finding.text


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    files = {"ssl_certfile": tmp_path / "none", "ssl_keyfile": tmp_path / "none"}
    with pytest.raises(ConfigurationError, match="STREAM_APP_KAFKA__SSL_CERTFILE"):
        await kafka_sign_in(settings(security_protocol="SSL", **files))
