"""Shows the effective configuration, and where each value comes from."""

import json
from datetime import date

from readiness.config.leaves import dotted, leaves
from readiness.config.loading import Loaded
from readiness.model.secrets import Dsn, Secret, redact


def show(loaded: Loaded) -> str:
    """Every key with its effective value and its origin, one a line; secrets as ‹set›."""
    rows = [
        (f"{dotted(path)} = {_shown(value)}", loaded.origins[dotted(path)])
        for path, value in leaves(loaded.config)
    ]
    width = min(72, max(len(left) for left, _ in rows))
    lines = [f"# {loaded.path}", f"# sha256 {loaded.sha256}"]
    lines += [f"{left:<{width}}  # {origin}" for left, origin in rows]
    return redact("\n".join(lines)) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, Dsn):
        return f"‹set› ({value.address})"
    if isinstance(value, Secret):
        return "‹set›"
    if value is None:
        return "‹not set›"
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False)
