"""`make bench`: speed and latency, as ratios within one run on one machine."""
