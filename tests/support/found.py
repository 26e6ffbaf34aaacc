"""What `readiness init` finds, as the tables that it would write."""

from collections.abc import Iterable
from typing import Any

from readiness.config.base.discovery import Finding, Line
from readiness.model.secrets import Dsn


def tables_of(findings: Iterable[Finding]) -> dict[str, Any]:
    """The lines as a model takes them; connection strings may hold secrets here."""
    found: dict[str, Any] = {}
    for line in findings:
        if isinstance(line, Line):
            table = found
            for key in line.table:
                table = table.setdefault(str(key), {})
            table[line.key] = _value(line.key, line.value)
    return found


def _value(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _value(name, one) for name, one in value.items()}
    return Dsn(value) if key == "dsn" else value
