"""gRPC: one execution, and its events as they come."""
