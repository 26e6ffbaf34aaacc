"""Reads what arrived at a channel: asking the receiver, never the sender."""

from readiness.config.alerting import (
    Channel,
    CommandInbox,
    HttpInbox,
    ImapInbox,
    PagerDutyInbox,
    SlackInbox,
)
from readiness.probes.inboxes.command import CommandReader
from readiness.probes.inboxes.http import HttpReader
from readiness.probes.inboxes.imap import ImapReader
from readiness.probes.inboxes.message import Message, Reader
from readiness.probes.inboxes.pagerduty import PagerDutyReader
from readiness.probes.inboxes.slack import SlackReader

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
