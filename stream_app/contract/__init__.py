"""The contract of the topics: which record is on which topic, and where a record breaks its schema.

The code that decodes records is the source of the contract. `tests/contract` builds the schemas
from it and writes them to `schemas/`; this package only reads these files. Only the command
`validate` imports from here, and no worker does.
"""
