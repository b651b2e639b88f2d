"""The detector: counts events in windows and fires alerts. One Faust app, one file per agent."""
