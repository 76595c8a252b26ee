"""How it is kept, run and announced: the store, LangGraph, NATS, telemetry, settings."""
