"""The notifier: turns alerts into deliveries and posts them. One Faust app, one file per agent."""
