"""The local broker: its jars, its process, its start. For trying things out and for tests.

Nothing else of `stream_app/kafka` needs it; a worker in production never starts it.
"""
