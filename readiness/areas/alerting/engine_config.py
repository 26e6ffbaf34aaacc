"""The models of a target's own alert engine: what raises alerts there, and where they go."""

from typing import Annotated, ClassVar

from pydantic import Field

from readiness.config.base import Command, Model, Name, Positive, Text, Url
from readiness.model.secrets import Secret


class EngineHistory(Model):
    """Where the engine keeps what it told: the entry is found by the probe's id."""

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
        description="the number of all alerts so far, by its keys, as `alerts.total`; not of those"
        " that are open: that one falls again",
    )
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")


class EngineEscalation(Model):
    """Who is told when nobody acknowledges."""

    second: Name = Field(..., description="the [alerting.channels.NAME] of the second tier")
    after_s: Positive = Field(
        ..., description="seconds after which it is told, within 10 % and a second"
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
        ..., description="the [alerting.channels.NAME] that must hear it"
    )
    within_s: Positive = Field(30, description="seconds from the trigger until each of them has it")
    history: EngineHistory | None = Field(None, description="where it keeps what it told")
    statistics: EngineStatistics | None = Field(None, description="where it counts its alerts")
    escalation: EngineEscalation | None = Field(
        None, description="who is told when nobody acknowledges"
    )

    @property
    def reaches(self) -> frozenset[str]:
        """The names of all channels that it tells, of both tiers."""
        second = [self.escalation.second] if self.escalation else []
        return frozenset([*self.channels, *second])
