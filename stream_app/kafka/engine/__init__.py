"""The Faust app: batches of records in, flushes of effects and progress out.

Both roles import from here. An agent is a `Stage` (`stage.py`) that the flush loop drives; nothing
here knows what an agent counts or sends.

Why record batches: Faust spends about 140 µs on each message. The agents get one partition's poll
as one event (`consumer.py`), which leans on private methods of Faust 0.15.
`tests/unit/kafka/engine/test_faust_contract.py` guards them.

Why the counts are exact: the changed counts of a flush and its *progress*, the offset up to which
they contain everything, are one record. It is written when the broker has acknowledged all that the
events caused, and only then are the events acknowledged. After a crash a worker goes on behind the
progress, not at the group's committed offset. It counts again from the same state, so its partial
counts, which are absolute, are the same.

Why a flush waits when it has much to write: writing a cell (a stored count) costs as much as
counting several events, and the next events may change it again. While events come one at a time,
flushes are 20 ms apart. Under full load a flush that would write a cell for fewer than 20 events
waits for more of them, whether they are here or still at the broker. It waits for a second or
200,000 events at most. When everything is read, a flush starts at once, so at usual rates the
waiting delays nothing.

Why a batch says which part of the log it covers: Faust drops batches between a fetch and an agent's
queue while partitions move. A batch that does not start where the last one ended is refused, and
the partition is read again from its progress.
"""
