"""States on Kafka: tables, their changelogs, and how they come back in bulk after a start.

The engine and the agents import from here. What a state holds is `domain/state`'s business, and
of those who keep it.

Why a restart takes seconds: state is read in bulk, by a consumer of its own, and what must be read
is bounded by the state. Every few minutes, and after much has changed, the owner of a partition
writes a *snapshot* into the changelog: its whole state in slices, with the offset up to which it
stands for the log. When the next one is whole, the records before the first are deleted, so a torn
or damaged one costs nothing. Of two versions of a value the one that counts further wins, wherever
they are.

Why snapshots are in the changelog and not in files: a container has no disk, and a worker that has
lost its partition can only write behind what it has read.
"""
