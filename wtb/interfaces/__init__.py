"""Translation only: parse, one verb, reply."""
