"""Both stages of counting, and which triggers count an event.

Stage 1 (`partition_counts.py`) counts the events of one source partition, stage 2
(`partition_windows.py`) sums these counts over all partitions and says which windows fire. It
never renders an alert and never reads a clock.
"""
