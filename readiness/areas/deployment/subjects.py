"""The kinds of subject that [deployment] declares."""

from collections.abc import Mapping
from typing import Final

from readiness.config.subject import Find, of

# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "deployment": ("[deployment]", lambda c: [c.deployment] if c.deployment else []),
    "saved_layer": (
        "[deployment.layers.NAME]",
        lambda c: of(c.deployment.layers if c.deployment else {}),
    ),
}
