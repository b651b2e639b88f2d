"""Several brokers as one cluster: which of them answers, and what to do with one that does not.

aiokafka asks one broker after the other, each for as long as a request may take, 40 seconds or
more, and connects to one at a time. So a single broker that is silent (its process stopped, its
network gone) would hold up all work with the others. Here others are asked, too, after a moment;
connections are made side by side; and what waits for a broker that has left the cluster is sent to
its successor.
"""
