"""Events to whoever listens: an embedded NATS server, the relay to it, and the feed from it.

Needs the extra ``server``; nothing outside the server imports this package.

- `server.EmbeddedNats` runs a NATS server that lives no longer than this process.
- `relay.Relay` copies the event log into the JetStream stream ``WTB_EVENTS``.
- `subscription.LiveEvents` gives any number of followers the past from the log
  and the present from that stream.
"""
