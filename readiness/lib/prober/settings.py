"""What every drill that watches users has: whom to ask, how often, and when it is too much."""

from typing import Annotated

from pydantic import Field

from readiness.config.base import Count, Model, Positive, Text, Url
from readiness.model.secrets import Secret


class Watched(Model):
    """A service that a prober asks while something is done to it."""

    url: Url = Field(..., description="the public way in; answers GET")
    replica_header: Text | None = Field(
        None, description="header of the answers that tells which replica gave them"
    )
    bearer: Secret | None = Field(None, description="token sent as `Authorization: Bearer`")
    verify_tls: bool = Field(True, description="whether its certificate must be valid")
    rate_per_s: Annotated[float, Field(ge=10, le=1000)] = Field(
        50, description="requests a second during a drill, half of them over new connections"
    )
    timeout_s: Positive = Field(2, description="seconds until a request counts as unanswered")
    steady_s: Annotated[float, Field(ge=1)] = Field(
        10, description="seconds without a failure that a drill needs before and after a change"
    )
    abort_failures: Count = Field(
        20, description="failed requests; with more of them a drill is aborted and reverted at once"
    )
    abort_outage_s: Positive = Field(
        5, description="seconds without an answer after which it is, too"
    )
