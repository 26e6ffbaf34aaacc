"""Reads what arrived at a channel: asking the receiver, never the sender."""

from readiness.areas.alerting.config import (
    Channel,
    CommandInbox,
    HttpInbox,
    ImapInbox,
    PagerDutyInbox,
    SlackInbox,
)
from readiness.areas.alerting.inboxes.local import CommandReader, ImapReader
from readiness.areas.alerting.inboxes.message import Message, Reader
from readiness.areas.alerting.inboxes.web import HttpReader, PagerDutyReader, SlackReader

__all__ = ["Message", "Reader", "reader_of"]


def reader_of(channel: Channel) -> Reader:
    """What reads a channel; use it as a context manager.

    Raises:
        ValueError: the channel has no inbox.
    """
    match channel.inbox:
        case HttpInbox():
            return HttpReader(channel.inbox)
        case SlackInbox():
            return SlackReader(channel.inbox)
        case PagerDutyInbox():
            return PagerDutyReader(channel.inbox)
        case ImapInbox():
            return ImapReader(channel.inbox)
        case CommandInbox():
            return CommandReader(channel.inbox)
        case None:
            raise ValueError(f"channel {channel.name!r} has no inbox")
