"""Replaying recorded events: ranges, shifted times, copies, and the alerts of a replay.

The commands `replay` and `triggers backtest` import from here. It counts by `domain/counting`, as
the workers do, and never by rules of its own.
"""
