"""Dead letters on Kafka: written, truncated if their topic refuses them, read, and redriven.

Agents and commands import from here. What may be redriven is decided in the domain, not here.
"""
