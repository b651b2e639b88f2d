"""The Opsgenie edge: payloads, outcomes, the HTTP client, and a sandbox that plays the service."""
