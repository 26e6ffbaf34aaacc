"""The part of the reference system's readiness.toml that says which alerts there must be."""

from typing import Final

RULES: Final = """
# A query that runs for more than 3,000 ms. The exporter tells seconds: so does the rule.
[alerting.rules.SlowQueries]
severity = "warning"
above = 3000
unit = "ms"
metric_unit = "s"
max_for_s = 10

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

[alerting.rules.DatabaseConnectionFailure]
severity = "critical"
equals = 0
max_for_s = 30

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
"""
