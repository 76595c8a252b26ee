"""What can go wrong with NATS, as part of WTB's tree.

::

    WtbError
     └─ MessagingError
         ├─ NatsUnavailable      the embedded server can't start
         └─ StreamOfAnotherLog   the NATS stream holds events that aren't this store's
"""

from wtb.domain.errors import WtbError


class MessagingError(WtbError):
    code = "messaging-error"


class NatsUnavailable(MessagingError):
    code = "nats-unavailable"
    hint = "Install wtb[server], free WTB_NATS_STORE_DIR, or name a running NATS server with WTB_NATS_URL."


class StreamOfAnotherLog(MessagingError):
    code = "stream-of-another-log"
    hint = "Give each store its own NATS; if this stream is a leftover, `nats stream rm WTB_EVENTS`."

    def __init__(self, stream: str, position: str) -> None:
        super().__init__(f"the last message of NATS stream {stream}, {position or 'foreign'}, isn't in this store")
