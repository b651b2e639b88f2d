"""`stream-app sandbox`: a sandbox Opsgenie, and its faults."""
