"""The tables of alerting in readiness.toml, and the subjects of checks that they declare."""

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from readiness.config.base import Command, Count, Model, Name, Named, Positive, Text, Url, tables
from readiness.config.base.area import Find, of
from readiness.config.base.watching import both_or_none
from readiness.model.secrets import Dsn, Secret


class EngineHistory(Model):
    """Where the engine records its alerts: the entry is found by the probe's id."""

    url: Url = Field(..., description="answers with the newest alerts, as JSON or text")
    query: str = Field(
        "", description="what follows `?`, as `search={probe}`; `{probe}` becomes the probe's id"
    )
    end_field: Text | None = Field(
        None,
        description="the key of a JSON entry that is set once the alert has ended, as"
        " `resolved_at`; without it, `resolved_text` counts",
    )
    resolved_text: Text = Field(
        "resolve", description="what only the entry of an ended alert contains, in any case"
    )
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")


class EngineStatistics(Model):
    """Where the engine counts its alerts."""

    url: Url = Field(..., description="answers with a JSON object")
    field: Text = Field(
        ...,
        description="the path of the number of all alerts so far, as `alerts.total`; not of the"
        " open ones, which falls again",
    )
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")


class EngineEscalation(Model):
    """The second tier, which is notified of alerts that are not acknowledged."""

    second: Name = Field(..., description="the [alerting.channels.NAME] of the second tier")
    after_s: Positive = Field(
        ..., description="seconds until it is notified; 10 % and a second are tolerated"
    )
    acknowledge: Command = Field(
        ..., description="the command that acknowledges; `{probe}` becomes the probe's id"
    )


class AlertEngine(Model):
    """An alert engine of the target's own, beside Alertmanager or instead of it."""

    name: ClassVar[str] = "engine"

    trigger: Command = Field(
        ..., description="the command that raises an alert; `{probe}` becomes the probe's id"
    )
    resolve: Command | None = Field(
        None, description="the command that ends it; none: it ends by itself"
    )
    channels: Annotated[list[Name], Field(min_length=1)] = Field(
        ..., description="the [alerting.channels.NAME] that must be notified"
    )
    within_s: Positive = Field(30, description="seconds from the trigger to their messages")
    history: EngineHistory | None = Field(None, description="where it records its alerts")
    statistics: EngineStatistics | None = Field(None, description="where it counts its alerts")
    escalation: EngineEscalation | None = Field(
        None, description="the second tier, for alerts that are not acknowledged"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """Its addresses, as far as they are declared."""
        pages = {"HISTORY": self.history, "STATISTICS": self.statistics}
        return {word: page.url for word, page in pages.items() if page}

    @property
    def reaches(self) -> frozenset[str]:
        """The names of all channels that it notifies, of both tiers."""
        second = [self.escalation.second] if self.escalation else []
        return frozenset([*self.channels, *second])


# A label of Prometheus; `__` begins what Prometheus keeps for itself.
LABEL_PATTERN: Final = r"^_?[a-zA-Z0-9][a-zA-Z0-9_]*$"
LISTEN_PATTERN: Final = r"^[^\s:/]+:\d{1,5}$"
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN, max_length=128)]
Listen = Annotated[str, StringConstraints(pattern=LISTEN_PATTERN)]

Integration = Literal[
    "discord", "email", "jira", "msteams", "msteamsv2", "opsgenie", "pagerduty", "pushover",
    "rocketchat", "slack", "sns", "telegram", "victorops", "webex", "webhook", "wechat",
]  # fmt: skip
"""Kinds of integration that Alertmanager has, as in `KIND_configs`."""


class HttpInbox(Model):
    """Messages as anything that HTTP can read: the text is searched for the probe's id."""

    url: Url = Field(..., description="answers with the newest messages, as JSON or text")
    query: str = Field(
        "", description="what follows `?`, as `channel=slack`; `{probe}` becomes the probe's id"
    )
    time_field: Text = Field(
        "at",
        description="if the answer is a list of JSON objects: the key of the time of arrival, as"
        " RFC 3339; without it, the time at which the message was first seen counts",
    )
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")


class SlackInbox(Model):
    """A Slack channel, read with `conversations.history`."""

    slack_channel: Text = Field(..., description="id of the channel, as `C0123456789`")
    token: Secret = Field(..., description="bot token with the scope channels:history")
    url: Url = Field("https://slack.com/api", description="address of the Web API")


class PagerDutyInbox(Model):
    """A PagerDuty service, read with `GET /incidents`."""

    pagerduty_service: Text = Field(..., description="id of the service, as `PABC123`")
    token: Secret = Field(..., description="a read-only REST API key")
    url: Url = Field("https://api.pagerduty.com", description="address of the REST API")


class ImapInbox(Model):
    """A mailbox, read over IMAP with TLS."""

    imap_host: Text = Field(..., description="the server")
    user: Text = Field(..., description="the user")
    password: Secret = Field(..., description="their password")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(993, description="its port")
    mailbox: Text = Field("INBOX", description="the folder that is read")
    tls: bool = Field(True, description="whether the connection uses TLS from its start (IMAPS)")


class CommandInbox(Model):
    """Whatever a command of yours prints: the text is searched for the probe's id."""

    command: Command = Field(..., description="prints the newest messages; it is run repeatedly")


_KINDS: Final = {
    "slack_channel": "SlackInbox",
    "pagerduty_service": "PagerDutyInbox",
    "imap_host": "ImapInbox",
    "command": "CommandInbox",
}


def _kind_of_inbox(inbox: object) -> str:
    if isinstance(inbox, dict):
        return next((kind for key, kind in _KINDS.items() if key in inbox), "HttpInbox")
    return type(inbox).__name__ if isinstance(inbox, Model) else "HttpInbox"


Inbox = Annotated[
    Annotated[HttpInbox, Tag("HttpInbox")]
    | Annotated[SlackInbox, Tag("SlackInbox")]
    | Annotated[PagerDutyInbox, Tag("PagerDutyInbox")]
    | Annotated[ImapInbox, Tag("ImapInbox")]
    | Annotated[CommandInbox, Tag("CommandInbox")],
    Discriminator(_kind_of_inbox),
]


class Channel(Named):
    """A way to notify people, `[alerting.channels.NAME]`."""

    integration: Integration = Field(..., description="the kind of integration that serves it")
    receivers: list[Text] = Field(
        default=[],
        description="the receivers whose integrations of that kind are this channel, where the"
        " kind is not enough, as for an SMS gateway behind a webhook; empty: all",
    )
    inbox: Inbox | None = Field(
        None, description="where its messages can be read; none: only its routes are judged"
    )
    test_page: bool = Field(
        False,
        description="consent: whether alerting.delivery may notify the real receivers, too, with a"
        " page that says that it is a test; without it they are not proven, since synthetic alerts"
        " have a receiver of their own",
    )
    real_inbox: Inbox | None = Field(
        None,
        description="where the messages of its real receivers can be read, if `inbox` shows only"
        " those of synthetic alerts, as a Slack channel for tests",
    )
    resolves: bool = Field(True, description="whether it must show the end of an alert, too")
    resolved_text: Text = Field(
        "resolve", description="what only the message of an ended alert contains, in any case"
    )


class SeverityPolicy(Named):
    """What alerts of one severity must reach, `[alerting.severities.NAME]`."""

    channels: Annotated[list[Annotated[list[Name], Field(min_length=1)]], Field(min_length=1)] = (
        Field(
            ...,
            description="at least one channel of each inner list must be notified, as"
            ' [["pagerduty", "sms"], ["slack"]]: someone is paged, and everyone can see it',
        )
    )
    budget_s: Positive = Field(
        30, description="seconds from Prometheus's hand-over to the notification, by each peer"
    )
    may_be_muted: bool = Field(False, description="whether time intervals and silences may mute it")
    repeat_max_s: Positive = Field(
        14400, description="seconds until the notification must be repeated while the alert lasts"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The value of the label."""
        return {"SEVERITY": self.name}


Unit = Literal["s", "ms", "min", "h", "ratio", "percent", "bytes", "kB", "MB", "GB", "count", "1/h"]


class RequiredRule(Named):
    """An alert rule that must be loaded, `[alerting.rules.NAME]`: the name is the alert's."""

    severity: Name = Field(..., description="its label `severity`")
    above: float | None = Field(None, description="it fires above this value, in `unit`")
    below: float | None = Field(None, description="it fires below this value, in `unit`")
    equals: float | None = Field(None, description="it fires at exactly this value, in `unit`")
    unit: Unit = Field("count", description="the unit of that value in the requirement")
    metric_unit: Unit | None = Field(
        None, description="the unit in which the rule compares, where it differs"
    )
    max_for_s: float = Field(300, ge=0, description="seconds; longest `for` of the rule")

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The name of the rule."""
        return {"ALERT": self.name}

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if sum(value is not None for value in (self.above, self.below, self.equals)) != 1:
            raise PydanticCustomError(
                "one_of", "needs one of `above`, `below` and `equals`, and no second one"
            )
        return self


class DeliveryDrill(Model):
    """A second receiver for synthetic alerts, with a webhook that ends at the checks.

    Its route matches the probe's label with `=~"drill-.+"` and groups by that label.
    """

    listen: Listen = Field(
        ..., description="host:port of this machine at which that webhook ends while a check runs"
    )
    receiver: Text = Field("readiness-drill", description="the receiver")
    beside: Name = Field(
        ...,
        description="the [alerting.channels.NAME] that the same receiver serves, and that must"
        " not wait for a broken webhook",
    )


class SyntheticProbe(Model):
    """How synthetic alerts differ from real ones, and which receiver they may reach."""

    @property
    def name(self) -> str:
        """The receiver, which names the subject of a check."""
        return self.receiver

    label: Label = Field("readiness_probe", description="the label that only synthetic alerts have")
    receiver: Text = Field(
        "readiness-probe", description="the only receiver that synthetic alerts may reach"
    )
    labels: dict[Label, Text] = Field(
        default={}, description="further labels that your routes or templates need"
    )
    budget_s: Positive = Field(30, description="seconds until a synthetic alert must have arrived")
    drill: DeliveryDrill | None = Field(
        None, description="a receiver whose webhook is answered with errors, to test retries"
    )


class Canary(Model):
    """A metric that is made to breach, to test the path from the scrape to the channel."""

    @property
    def name(self) -> str:
        """The alert, which names the subject of a check."""
        return self.alert

    breach: Command = Field(
        ..., description="the command that makes it breach; `{probe}` becomes the probe's id"
    )
    clear: Command = Field(..., description="the command that ends the breach")
    alert: Text = Field("ReadinessCanary", description="the alert rule that watches it")
    evaluation_max_s: Positive = Field(
        1, description="seconds from the rule's evaluation until Alertmanager has the alert"
    )
    stop_source: Command | None = Field(
        None,
        description="the command that stops the exporter of the metric (alerting.false-all-clear)",
    )
    start_source: Command | None = Field(None, description="the command that starts it again")
    loss_max_s: Positive = Field(
        60, description="seconds from the all-clear to an alert for the loss of the exporter"
    )

    @model_validator(mode="after")
    def _pair(self) -> Self:
        return both_or_none(self, "stop_source", "start_source")


class DeadMan(Model):
    """The alert that always fires, so that its absence is noticed."""

    @property
    def name(self) -> str:
        """The alert, which names the subject of a check."""
        return self.alert

    alert: Text = Field("Watchdog", description="its name")
    channel: Name = Field(..., description="the [alerting.channels.NAME] of the dead man's switch")
    max_silence_s: Positive = Field(
        240, description="seconds that may pass between two beats, and from the last to the call"
    )
    stop: Command | None = Field(
        None, description="the command that stops Prometheus (alerting.dead-man-calls)"
    )
    start: Command | None = Field(None, description="the command that starts it again")
    calls: Name | None = Field(
        None, description="the [alerting.channels.NAME] that the switch notifies when no beat comes"
    )
    call_text: Text = Field("Watchdog", description="what the message of the switch contains")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        return both_or_none(self, "stop", "start")


class Alerting(Model):
    """How people are notified."""

    severities: Annotated[dict[Name, SeverityPolicy], Field(min_length=1)] = Field(
        default={}, description="what must be reached, as [alerting.severities.NAME]"
    )
    channels: Annotated[dict[Name, Channel], Field(min_length=1)] = Field(
        default={}, description="the ways to notify people, as [alerting.channels.NAME]"
    )
    rules: Annotated[dict[Name, RequiredRule], Field(min_length=1)] = Field(
        default={}, description="the alert rules that must be loaded, as [alerting.rules.NAME]"
    )
    no_series_yet: list[Text] = Field(
        default=[], description="metrics that rules may name before their first series"
    )
    unreached: list[Text] = Field(
        default=[], description="receivers that may have no integration, as `blackhole`"
    )
    storm: Count = Field(300, description="alerts sent at once, all of which must arrive")
    probe: SyntheticProbe | None = Field(None, description="how synthetic alerts are sent")
    canary: Canary | None = Field(None, description="a metric that is made to breach")
    dead_man: DeadMan | None = Field(None, description="the alert that always fires")
    engine: AlertEngine | None = Field(
        None, description="an alert engine of the target's own, beside Alertmanager"
    )

    @property
    def engine_only(self) -> frozenset[str]:
        """The channels that only `engine` names: Alertmanager is not expected to serve them."""
        lists = chain.from_iterable(policy.channels for policy in self.severities.values())
        wanted = set(chain.from_iterable(lists))
        return (self.engine.reaches if self.engine else frozenset()) - wanted


class SlowAlert(Model):
    """The alert that a slow statement must raise, and the channel at which it must arrive."""

    dsn: Dsn = Field(
        ...,
        description="a role whose statements the alert watches, as the application's; it runs"
        " nothing but pg_sleep",
    )
    alert: Text = Field(..., description="the alert's name, as the message contains it")
    severity: Text = Field(..., description="its severity, as the message contains it")
    channel: Name = Field(
        ..., description="the [alerting.channels.NAME], with an inbox, at which it must arrive"
    )
    message_within_s: Positive = Field(
        60, description="seconds from the start of the statement to the message"
    )


class Database(tables.Database):
    """A PostgreSQL database, with the alert on its slow statements."""

    slow_alert: SlowAlert | None = Field(None, description="the alert that a slow statement raises")


class Config(tables.Config):
    """The tables of alerting."""

    alerting: Alerting | None = Field(None, description="how people are notified")
    databases: Annotated[Mapping[Name, Database], Field(min_length=1)] = Field(
        default={}, description="the PostgreSQL databases, as [databases.NAME]"
    )


def probed_channels(config: Config) -> list[Channel]:
    """The channels whose inbox can be read and that Alertmanager's synthetic alerts go to."""
    return [channel for channel in _channels(config) if channel.inbox]


def _channels(config: Config) -> list[Channel]:
    """All channels but those of the dead man's switch and of the target's own engine."""
    alerting = _alerting(config)
    dead_man = alerting.dead_man
    apart = alerting.engine_only | ({dead_man.channel, dead_man.calls} if dead_man else set())
    return [channel for channel in alerting.channels.values() if channel.name not in apart]


def _alerting(config: Config) -> Alerting:
    return config.alerting or Alerting()


# kind -> (where it is declared, for the report, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "alerted_database": (
        "[databases.NAME.slow_alert]",
        lambda c: [d for d in c.databases.values() if d.slow_alert],
    ),
    "alertmanager": ("[alertmanager]", lambda c: [c.alertmanager] if c.alertmanager else []),
    "alert_severity": ("[alerting.severities.NAME]", lambda c: of(_alerting(c).severities)),
    "alert_rule": ("[alerting.rules.NAME]", lambda c: of(_alerting(c).rules)),
    "channel": ("[alerting.channels.NAME]", _channels),
    "synthetic_probe": ("[alerting.probe]", lambda c: [p] if (p := _alerting(c).probe) else []),
    "canary": ("[alerting.canary]", lambda c: [found] if (found := _alerting(c).canary) else []),
    "dead_man": ("[alerting.dead_man]", lambda c: [d] if (d := _alerting(c).dead_man) else []),
    "alert_engine": ("[alerting.engine]", lambda c: [e] if (e := _alerting(c).engine) else []),
}
