"""The detector: counts events in windows and fires alerts. One Faust app, one file per agent.

Why batches are taken in steps: a record of a few kilobytes may unfold to seconds of work. Nothing
between two steps takes long (C code over bounded pieces, or some hundred events), and between them
the loop serves others. A record's offset is done when all of its steps are; one that a rebalance
interrupts is rolled back with its partition and read again.

Why an alert record can come twice: a worker that is killed between the broker's acknowledgement of
an alert and the mark on its window sends the same bytes again. The alert's id is the alias at
Opsgenie, which makes it one alert for people. The notifier posts it once anyway, as long as it has
its state.
"""
