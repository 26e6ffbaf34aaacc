"""What the fleet begins with. Its files are in its working folder."""

from typing import Final

from pydantic import BaseModel, ConfigDict

BEHAVIOUR: Final = "behaviour.json"
"""The file that tells what it does wrong."""


class Settings(BaseModel):
    """What the fleet begins with.

    Attributes:
        release: that all replicas are.
        count: how many.
        haproxy: the program.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    count: int
    haproxy: str
