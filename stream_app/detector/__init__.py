"""The detector: counts events in windows and fires alerts. One Faust app, one file per agent.

Why batches are processed in steps: a record of a few kilobytes may unpack to seconds of work. No
step takes long (C code over bounded pieces, or some hundred events), and between two steps the
event loop serves other tasks. A record's offset is done when all of its steps are. A record that a
rebalance interrupts is rolled back with its partition and read again.

Why an alert record can come twice: a worker that is killed after the broker has acknowledged an
alert, but before its window is marked as fired, sends the same bytes again. The alert's id is its
alias at Opsgenie, so people see one alert. The notifier posts it only once anyway, as long as it
has its state.
"""
