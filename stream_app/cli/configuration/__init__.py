"""`stream-app apply|get|delete|secrets`: configured objects, from files to Kafka and back.

`files` reads files for other commands, too, and `changes` writes to Kafka for them. What `apply`
decides is in `domain/plans`, never here.
"""
