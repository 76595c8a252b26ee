"""The inbox: customers' e-mails as text files in `tickets/`, one file per ticket."""

from email import message_from_string
from email.policy import default
from email.utils import parseaddr
from pathlib import Path

from typing_extensions import TypedDict

TICKETS = Path(__file__).parent / "tickets"


class Email(TypedDict):
    """What the desk needs of an e-mail."""

    name: str
    address: str
    subject: str
    body: str


class UnknownTicket(LookupError):
    """No file in `tickets/` has this name; the message lists those that exist."""


def ticket_names() -> list[str]:
    """The names of all tickets, sorted: file names without `.txt`."""
    return sorted(path.stem for path in TICKETS.glob("*.txt"))


def read_email(ticket: str) -> Email:
    """Parse the named ticket.

    Raises:
        UnknownTicket: also for a name that tries to lead out of the folder.
    """
    if ticket not in ticket_names():
        raise UnknownTicket(f"no ticket {ticket!r}; there are: {', '.join(ticket_names())}")
    message = message_from_string((TICKETS / f"{ticket}.txt").read_text(encoding="utf-8"), policy=default)
    name, address = parseaddr(str(message["From"]))
    return Email(
        name=name,
        address=address,
        subject=str(message["Subject"]),
        body=str(message.get_payload()).strip(),
    )
