"""The event store: facts in, recorded events out, in SQLite or Postgres."""
