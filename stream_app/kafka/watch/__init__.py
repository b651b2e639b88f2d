"""What a running worker watches: its lag, its topics, standing partitions, and withheld records.

`worker` imports from here, for health and metrics. The watches change nothing on Kafka and read no
records; some of them end the worker.
"""
