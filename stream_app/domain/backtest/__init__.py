"""Backtests: what a trigger would have done on recorded events, and which threshold fits.

`stream-app triggers backtest` imports from here; it counts by `domain/counting`.
"""
