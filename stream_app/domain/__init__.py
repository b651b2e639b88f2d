"""The pure rules: typed records and functions. Time is passed in; nothing here does I/O.

A room may import only from the rooms below it; `pyproject.toml` holds their order. This root has
what all rooms share: the errors, the names of the topics, and times as people write them.
"""
