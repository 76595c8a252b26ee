"""HTTP under ``/api/v1``: each handler parses, calls one verb and replies with what the verb gave."""
