"""Writes values of TOML."""


def quoted(text: str) -> str:
    """A text as a basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
