"""The cluster: connections, consumers without a group, topics and their checks, the brokers' time.

Workers and commands import from here. Nothing here decodes a record.

Why the brokers' time: a wrong clock on a worker's machine must change no alert. A worker learns the
brokers' time when it starts and from each acknowledgement; due times and pauses follow it, and
waits are measured by a clock that is never set.
"""
