"""Both stages of counting, and which triggers count an event.

Stage 1 (`partition_counts.py`) counts the events of one source partition, stage 2
(`partition_windows.py`) sums these counts over all partitions and says which windows fire. It
never renders an alert and never reads a clock.

Why two stages: producers choose their own keys, and one busy customer must not fill one partition.
Each source partition counts for itself; the sums meet in the topic `counts`.

Why event time: windows are aligned to the epoch and move with the largest event time of a
partition, never with the wall clock. So a replay gives the same alerts, byte for byte. The cost is
that incidents at 12:00:00 and 12:00:01 are in two windows of a second.
"""
