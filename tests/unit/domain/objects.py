"""Builds configured objects that are right, in the form in which people write them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stream_app.domain.configuration.clients import Client, read_client
from stream_app.domain.configuration.fields import Problems
from stream_app.domain.configuration.integrations import Integration, read_integration
from stream_app.domain.configuration.triggers import Trigger, read_trigger


def parse_client(obj: Mapping[str, object]) -> Client:
    """Return a client, or raise its first problem."""
    client, problems = read_client(obj)
    raise_first(problems)
    return client


def parse_integration(obj: Mapping[str, object]) -> Integration:
    """Return an integration, or raise its first problem."""
    integration, problems = read_integration(obj)
    raise_first(problems)
    return integration


def parse_trigger(obj: Mapping[str, object], *, allowed_periods: Collection[int]) -> Trigger:
    """Return a trigger, or raise its first problem."""
    trigger, problems = read_trigger(obj, allowed_periods=allowed_periods)
    raise_first(problems)
    return trigger


def raise_first(problems: Problems) -> None:
    """Raise the first problem, if there is one."""
    if problems:
        raise problems[0]
