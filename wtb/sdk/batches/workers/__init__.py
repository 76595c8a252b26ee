"""Who runs trials: threads, an event loop, processes, Ray, or any executor."""
