"""The `config.*` topics: the live view of a worker, and reading and writing for commands."""
