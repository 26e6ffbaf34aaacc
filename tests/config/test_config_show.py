from pathlib import Path

from readiness.config.loading import load
from readiness.config.values import show

SECRET = "correct-horse-battery"
TEXT = """[target]
name = "shop"
release = "${RELEASE}"

[services.api]
url = "https://reader:${TOKEN}@api.example.com"
bearer = "${TOKEN}"

[databases.orders]
dsn = "postgresql://monitor:${TOKEN}@db:5432/orders"
"""


def test_values_with_their_origins_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(TEXT)
    shown = show(load(path, {"RELEASE": "1.2", "TOKEN": SECRET}))
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert f'target.name = "shop" # {path}:2' in lines
    assert 'target.release = "1.2" # env RELEASE' in lines
    assert 'target.allow = ["observe"] # default' in lines
    assert "target.marker = ‹not set› # default" in lines
    assert "services.api.bearer = ‹set› # env TOKEN" in lines
    assert "databases.orders.dsn = ‹set› (db:5432/orders) # env TOKEN" in lines
    assert SECRET not in shown
