"""The cluster: connections, consumers without a group, topics and their checks, the brokers' time.

Workers and commands import from here. Nothing here decodes a record.
"""
