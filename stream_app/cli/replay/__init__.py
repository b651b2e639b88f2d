"""`stream-app replay`: the alerts that recorded events give, and `replay copy` for a real run.

`triggers backtest` imports `selection`. Nothing here joins a group; only `replay copy` writes to
Kafka, and only to the topics of another installation.
"""
