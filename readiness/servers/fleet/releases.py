"""The releases that the fleet knows, and what a replica finds in its environment."""

from collections.abc import Mapping
from typing import Final

OLD: Final = "1.4.0"
NEW: Final = "1.5.0"
BAD: Final = "1.6.0-bad"
"""It comes up, says that it is ready, and answers every request with 500."""

DSN: Final = "FLEET_DSN"
"""Where the notes are kept."""
BEHAVIOUR: Final = "FLEET_BEHAVIOUR"
"""The file that tells what is done wrong."""
PREFIX: Final = "FLEET_CONFIG_"
"""What the variables of the configuration begin with."""

CONFIGURATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    OLD: {"CURRENCY": "EUR", "PAGE_SIZE": "20", "ACCOUNTS": "off"},
    NEW: {"CURRENCY": "EUR", "PAGE_SIZE": "50", "ACCOUNTS": "on"},
    BAD: {"CURRENCY": "EUR", "PAGE_SIZE": "50", "ACCOUNTS": "on", "BASKETS": "on"},
}


def environ(release: str) -> dict[str, str]:
    """The variables of the configuration that a release is meant to have."""
    return {f"{PREFIX}{name}": value for name, value in CONFIGURATIONS[release].items()}
