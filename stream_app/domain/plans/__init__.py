"""What `apply` would change, decided before anything is written.

`planner` takes each object of the files through the `steps`, checks `references` between them, and
returns a `plan`. Only commands import from here. Nothing here writes: `cli/configuration` carries
out the changes.
"""
