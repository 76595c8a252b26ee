"""The hash chain over a stream: each event's digest covers it and the digest before it."""

from hashlib import sha256


def link(before: str, stream: str, version: int, topic: str, content: bytes) -> str:
    """The chain digest of an event.

    ``before`` is the digest of the event before it in its stream (empty for the
    first), ``content`` the header and body as stored. Returns SHA-256 in
    hexadecimal over the parts, each of the text parts ended by a line break.
    """
    return sha256(
        b"%b\n%b\n%d\n%b\n%b" % (before.encode(), stream.encode(), version, topic.encode(), content)
    ).hexdigest()
