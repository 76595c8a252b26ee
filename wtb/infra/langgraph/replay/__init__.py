"""A past execution gone through again: its record, the shells that serve it, and what differs."""
