"""Programs that run the worker's command in a special way: killed, hindered or limited."""
