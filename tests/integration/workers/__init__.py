"""Programs that run the worker's command in a way of their own: killed, hindered, or limited."""
