"""Programs and files of this machine that are not to be used: $READINESS_WITHOUT names them.

So the reference system can be tried as it is on a machine that does not have them.
"""

import os
from typing import Final

VARIABLE: Final = "READINESS_WITHOUT"
"""Names of programs and of extensions of PostgreSQL, with commas between them."""


def refused(*names: str) -> bool:
    """Whether one of these is not to be used, though it may be on this machine."""
    hidden = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")}
    return not hidden.isdisjoint(names)
