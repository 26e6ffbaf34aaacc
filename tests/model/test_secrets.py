"""Secrets are used and never shown."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from readiness.model.evidence import Finding, Outcome
from readiness.model.measurement import Measurement, now
from readiness.model.secrets import PLACEHOLDER, Dsn, Secret, redact

CANARY = 'c4nary "quoted" & <p@ss/word>'


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY, safe=""),
        json.dumps(CANARY),
        base64.b64encode(CANARY.encode()).decode(),
        repr(CANARY),
        html.escape(CANARY),
    ],
    ids=["plain", "url", "json", "base64", "repr", "html"],
)  # fmt: skip
def test_every_common_form_is_taken_out(form: str) -> None:
    Secret(CANARY)
    shown = redact(f"before {form} after")
    assert CANARY not in shown
    assert "c4nary" not in shown
    assert PLACEHOLDER in shown


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2hunter2")
    assert "hunter2" not in f"{secret} {secret!r}"
    assert secret.reveal() == "hunter2hunter2"


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("postgresql://app:s3cr3t-one@db:5432/shop?sslmode=require", "db:5432/shop"),
        ("host=db port=5433 dbname=shop user=app password=s3cr3t-two", "db:5433/shop"),
    ],
)
def test_a_connection_string_shows_where_it_leads(dsn: str, address: str) -> None:
    assert str(Dsn(dsn)) == address
    assert "s3cr3t" not in redact(f"could not connect to {dsn}")


def test_a_finding_holds_no_secret() -> None:
    Secret("canary-in-evidence")
    text = Finding(
        outcome=Outcome.FAIL,
        message="tried canary-in-evidence",
        measurements=(Measurement("x", "canary-in-evidence", "text", source="canary-in-evidence"),),
        started=now(),
        duration_s=0.0,
    ).to_json()
    assert "canary-in-evidence" not in text
