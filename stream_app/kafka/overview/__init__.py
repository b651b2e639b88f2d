"""What `status` and `doctor` show of an installation, read from the cluster.

It joins no group and writes nothing. What a reading covers is bounded, and it says how far it went.
What the findings mean is said in `domain/reports`.
"""
