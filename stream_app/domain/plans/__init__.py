"""What `apply` would change: `planner.py` is the decision, `plan.py` the data that it makes.

Only commands import from here. Nothing here writes: the changes are carried out by
`stream_app/cli/configuration`.
"""
