"""What the doctor says of the workers' endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_app.doctor import local
from stream_app.doctor.check import CheckStatus
from stream_app.doctor.local import metrics_page
from stream_app.domain.errors import ConfigurationError
from stream_app.setting_groups import HttpSettings
from stream_app.settings import Settings
from tests.tls.authority import DAY, Authority, Pair


async def found(pair: Pair | None = None, **http: object) -> tuple[CheckStatus, str]:
    if pair is not None:
        http |= {"tls_certfile": pair.certfile, "tls_keyfile": pair.keyfile}
    (finding,) = await metrics_page(Settings(http=HttpSettings.model_validate(http)))
    return finding.verdict, finding.text


async def test_it_says_who_can_read_the_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RENEWAL", DAY / 2)
    pair, token = Authority(tmp_path).pair("localhost"), SecretStr("s3cret")
    assert [
        await found(),
        await found(token=token),
        await found(pair, host="10.0.0.1", token=token),
        await found(host="10.0.0.1"),
        await found(host="10.0.0.1", token=token),
    ] == [
        (CheckStatus.OK, "http, on loopback, open to whoever reaches it: it names no client"),
        (CheckStatus.OK, "http, on loopback, with a token"),
        (CheckStatus.OK, "https, on 10.0.0.1, with a token"),
        (CheckStatus.OK, "http, on 10.0.0.1, open to whoever reaches it: it names no client"),
        (CheckStatus.WARN, "the token crosses the network to 10.0.0.1 as clear text"),
    ]


async def test_a_certificate_near_its_end_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    verdict, text = await found(authority.pair("localhost"))
    assert (verdict, " ends 2" in text) == (CheckStatus.WARN, True)
    verdict, text = await found(authority.pair("localhost", is_expired=True))
    assert verdict is CheckStatus.FAIL
    assert text.endswith(": no client takes it any more")


async def test_settings_that_a_worker_would_refuse_are_errors(tmp_path: Path) -> None:
    gone = Pair(tmp_path / "a.crt", tmp_path / "a.key")
    with pytest.raises(ConfigurationError, match=r"TLS_CERTFILE: .*a\.crt: No such file"):
        await found(gone)
    with pytest.raises(ConfigurationError, match="is no token"):
        await found(token=SecretStr("two words"))
