"""The checks of `stream-app doctor`: each looks at one thing, changes nothing, says what to do."""
