"""States on Kafka: tables, their changelogs, and how they are restored in bulk after a start.

The engine and the agents import from here. What a state holds is defined in `domain/state` and by
the agent that keeps it.

Why a restart takes seconds: a consumer of its own reads the changelogs in bulk, and the size of the
state bounds how much there is to read. Every few minutes, and after many changes, the owner of a
partition writes a *snapshot* into the changelog: its whole state in slices, with the changelog
offset up to which it replaces the log. When the next snapshot is complete, the records before the
first one are deleted, so a torn or damaged snapshot costs nothing. Of two versions of a value, the
one that counts further wins, wherever they are.

Why snapshots are in the changelog and not in files: a container has no disk, and a worker that has
lost its partition can only append to the log that the new owner reads.
"""
