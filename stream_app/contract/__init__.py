"""The contract of the topics: which record stands where, and where a record breaks its schema.

The code that decodes records is the source of the contract. `tests/contract` builds the schemas
from it and writes them to `schemas/`; this package reads these files.
"""
