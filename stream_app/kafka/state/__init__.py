"""States on Kafka: tables, their changelogs, and how they come back in bulk after a start.

The engine and the agents import from here. What a state holds is `domain/state`'s business, and
of those who keep it.
"""
