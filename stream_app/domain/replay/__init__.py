"""Recorded events once more: ranges, moved times, copies, and what a replay gives.

It counts by `domain/counting`, as the workers do, and never by rules of its own.
"""
