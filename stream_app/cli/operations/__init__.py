"""Commands that run and watch an installation: workers, topics, Kafka, `status`, `doctor`, demo.

Each is a thin layer over the package that does the work. No other package imports from here.
"""
