"""Heartbeats: addresses that are pinged while the pager lives, and that page when pings stay away.

A heartbeat is one of Opsgenie, one of Jira Service Management, or the plain address of a dead man's
switch. The answer PONG proves nothing: both services document that they answer before they look
whether the heartbeat exists. So a heartbeat is read, too, where a service lets us.
"""
