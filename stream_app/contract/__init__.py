"""The contract of the topics: which record is on which topic, and where one breaks its schema.

The code that decodes records is the source of the contract. `tests/contract` builds the schemas
from it and writes them to `schemas/`; this package only reads these files. `validate` imports from
here, workers never do.
"""
