"""Programs disabled by $READINESS_WITHOUT, to try the reference system without them."""

import os
from typing import Final

VARIABLE: Final = "READINESS_WITHOUT"
"""Names of programs and of extensions of PostgreSQL, with commas between them."""


def refused(*names: str) -> bool:
    """Whether one of these names is disabled."""
    hidden = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")}
    return not hidden.isdisjoint(names)
