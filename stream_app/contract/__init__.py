"""The contract of the topics as JSON Schema, and what tells where a record breaks it.

The code is the one source: what records look like follows from the structs that decode them and
from the tables of conditions and filters. The files in `schemas/` are written from here, and the
validators are built from here, so an installed package needs no files.
"""
