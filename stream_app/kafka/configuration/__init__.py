"""The `config.*` topics: a worker's live view of them, and how commands read and write them.

Agents and commands import from here. Nothing here decides what an object may hold; the domain does.
"""
