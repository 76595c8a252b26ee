"""Batches: many cases under many combinations of variants, run as ordinary executions and compared."""
