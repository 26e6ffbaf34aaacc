"""The part of the reference system's readiness.toml that says which alerts there must be."""

from collections.abc import Collection
from typing import Final


def rules(running: Collection[str]) -> str:
    """[alerting.rules.NAME], as far as somebody exports what each is about.

    Args:
        running: the names of the programs that run.
    """
    of_exporters = (text for exporter, text in _EXPORTED.items() if exporter in running)
    return "".join((_SERVICE, *of_exporters))


_SERVICE: Final = """
[alerting.rules.HighErrorRate]
severity = "critical"
above = 5
unit = "percent"
metric_unit = "ratio"
max_for_s = 30

# More than ten errors within an hour.
[alerting.rules.ErrorsInAnHour]
severity = "critical"
above = 10
unit = "1/h"
max_for_s = 0
"""

_EXPORTED: Final = {
    "postgres_exporter": """
# A query that runs for more than 3,000 ms. The exporter tells seconds: so does the rule.
[alerting.rules.SlowQueries]
severity = "warning"
above = 3000
unit = "ms"
metric_unit = "s"
max_for_s = 10

[alerting.rules.DatabaseConnectionFailure]
severity = "critical"
equals = 0
max_for_s = 30
""",
    "node_exporter": """
[alerting.rules.MemoryHigh]
severity = "warning"
above = 75
unit = "percent"
metric_unit = "ratio"

[alerting.rules.MemoryCritical]
severity = "critical"
above = 90
unit = "percent"
metric_unit = "ratio"
max_for_s = 60
""",
}
