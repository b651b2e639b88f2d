"""`stream-app validate`: which records break the contract, and where.

`input` reads records from a topic or a file, and `contract` checks them. Nothing here writes to
Kafka, and no other package imports from here.
"""
