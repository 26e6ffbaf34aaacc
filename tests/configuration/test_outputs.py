"""A run that finds every kind of mistake in secrets shows none of them, in any output."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readiness.lib import bundle
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

# Strong, weak, short, a placeholder, and the password of an address.
PLANTED = ("k7Qz9wXb2LmN4vRt", "Hunter2-hunter2!", "zQ7-pL2", "s3kr1t-Kd8w2Zq7vP", "Vb9-tRw4-xYz2")
TOKEN = "token-k3Nw8sQp1Zt6"
SHOP_ENV = f"""\
API_TOKEN={PLANTED[0]}
JWT_SECRET='{PLANTED[1]}'
CRON_SECRET={PLANTED[2]}
DATABASE_URL=postgresql://shop:{PLANTED[4]}@db:5432/shop
NOT A LINE {PLANTED[0]}
BROKEN='{PLANTED[3]}
"""
TOML = """\
[target]
name = "demo"
release = "c41e8ab"

[configuration.applications.shop]
needs = ["API_TOKEN", "MISSING"]

[configuration.applications.shop.declared]
env_file = "shop.env"

[configuration.applications.shop.running]
inspect = ["cat", "inspect.json"]

[configuration.applications.shop.secrets]
others = ["staging.env"]
backend = {{ OTHER_TOKEN = ["sh", "-c", "cat planted; exit 3"] }}

[configuration.applications.broken]
needs = ["A"]

[configuration.applications.broken.running]
inspect = ["cat", "planted"]

[configuration.ci]
provider = "github"
url = "{url}"
repository = "acme/shop"
token = "${{CI_TOKEN_OF_TEST}}"
required = ["test"]
"""


def test_no_value_reaches_an_output(tmp_path: Path) -> None:
    (tmp_path / "shop.env").write_text(SHOP_ENV)
    (tmp_path / "staging.env").write_text(f"API_TOKEN={PLANTED[0]}\n")
    env = [f"API_TOKEN={PLANTED[0]}", f"JWT_SECRET={PLANTED[1]}", f"DB_PASSWORD={PLANTED[3]}"]
    inspected = [{"Id": "1", "Name": "/shop", "Config": {"Env": env, "Image": "x"}}]
    (tmp_path / "planted").write_text(PLANTED[0])
    (tmp_path / "inspect.json").write_text(json.dumps(inspected))
    with SmallServer({}) as server:
        # An API that repeats the token.
        server.otherwise = Reply(f"<html>{TOKEN}", 200, "text/html")
        (tmp_path / "readiness.toml").write_text(TOML.format(url=server.url))
        ended = subprocess.run(
            [sys.executable, "-m", "readiness", "run", "-n", "0", "--suite", "configuration",
             "--debug"],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "PYTHONPATH": str(bundle.root()), "CI_TOKEN_OF_TEST": TOKEN},
        )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    record = json.loads((tmp_path / "reports/readiness.json").read_text())
    outcomes = {f"{c['id']}[{c['subject']}]": c["outcome"] for c in record["checks"]}
    assert outcomes["configuration.secrets[shop]"] == "fail"
    assert outcomes["configuration.environment[shop]"] == "fail"
    assert outcomes["configuration.environment[broken]"] == "error"
    assert outcomes["configuration.ci[ci]"] == "error"
    written = [p for p in (tmp_path / "reports").rglob("*") if p.is_file()]
    assert {"readiness.json", "readiness.html", "readiness.xml", "readiness.md"} <= {
        path.name for path in written
    }
    texts = [ended.stdout, ended.stderr, *(p.read_text(errors="replace") for p in written)]
    for secret in (*PLANTED, TOKEN):
        coded = base64.b64encode(secret.encode()).decode()
        assert not any(secret in text or coded in text for text in texts)
