"""Episodes: which fired windows of a trigger are one attack, and which of them are told.

It decides from the windows' own times alone, never from a clock. It may import what stands below
`delivery`; it knows nothing of requests, records or Kafka.
"""
