"""The cluster: connections, topics and their checks, groups, and the brokers' time.

Workers and commands import from here. It never reads records of a topic.
"""
