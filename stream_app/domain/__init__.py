"""The pure rules: typed records and functions. Time is passed in; nothing here does I/O.

A room may import from the rooms below it only; their order stands in `pyproject.toml`. This root
holds what all rooms share: the errors, the names of the topics, and times as people write them.
"""
