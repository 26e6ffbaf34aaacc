"""What to add to readiness.toml so that a check has a subject."""

import re
from pathlib import Path

import pytest

from readiness.config.loading import load
from readiness.config.models import Config
from readiness.config.subjects import filled, subjects, undeclared
from readiness.model import secrets
from readiness.model.errors import UsageError
from readiness.run import catalogue
from tests.config.test_config_template import ENVIRONMENT, EVERYTHING, TODAY

TARGET = {
    "target": {"name": "shop"},
    "services": {"api": {"url": "http://h"}},
    "databases": {"orders": {"dsn": "postgresql://h/orders"}},
    "alertmanager": {"urls": ["http://am"]},
}


@pytest.mark.parametrize(
    ("kind", "needs", "told"),
    [
        ("service", ["private"], "set `private` in [services.api]"),
        ("service", ["truth"], "add [services.api.truth]"),
        ("database", ["standbys"], "add [databases.orders.standbys.NAME]"),
        ("database", ["schema.app_dsn"], "set `app_dsn` in [databases.orders.schema]"),
        ("database", ["schema.tenancy"], "add [databases.orders.schema.tenancy.NAME]"),
        ("alertmanager", ["stop_peer"], "set `stop_peer` in [alertmanager]"),
        ("backup", [], "add [backup.NAME]"),
        ("backup", ["copies"], "add [backup.NAME] with `copies`"),
        ("backup", ["archives_wal", "is_restorable", "physical.dsn"],
         "add [backup.NAME] with `archives_wal`, `is_restorable` and `physical.dsn`"),
        ("query", [], "add [[performance.queries]]"),
        ("signoff_item", [], "add [signoffs] with required"),
        ("service", [], ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_as_a_key_or_a_table(
    kind: str, needs: list[str], told: str
) -> None:
    assert undeclared(Config.model_validate(TARGET).named(), kind, needs) == told


def test_subjects_are_sorted_by_name() -> None:
    services = {name: {"url": "http://h"} for name in ("zeta", "alpha")}
    config = Config.model_validate(TARGET | {"services": services}).named()
    assert [subject.name for subject in subjects(config, "service")] == ["alpha", "zeta"]


def test_an_unknown_kind_names_the_known_ones() -> None:
    config = Config.model_validate(TARGET).named()
    with pytest.raises(UsageError, match="unknown kind of subject 'servce'") as refused:
        subjects(config, "servce")
    assert "use one of: alert_engine, " in str(refused.value)


FULL = TARGET | {
    "prometheus": {"url": "http://prom:9090", "jobs": {"api": {"interval_s": 30.0}}},
    "performance": {
        "endpoints": [{"name": "list", "service": "api", "path": "/orders", "max_p95_ms": 100.0}]
    },
    "backup": {
        "orders": {"database": "orders", "path": "/var/backups"},
        "odd": {"database": "orders", "path": "/var/my backups"},
    },
}


@pytest.mark.parametrize(
    ("kind", "name", "fix", "told"),
    [
        ("service", "api", "curl -s METRICS_URL URL/x", "curl -s http://h/metrics http://h/x"),
        ("job", "api", 'up{job="JOB"} PROMETHEUS/-/', 'up{job="api"} http://prom:9090/-/'),
        ("endpoint", "list", "curl URL", "curl http://h/orders"),
        ("alertmanager", "alertmanager", "am=ALERTMANAGER p=PROMETHEUS",
         "am=http://am p=http://prom:9090"),
        ("backup", "orders", "df -h FOLDER;  `rpo_s` in [backup.NAME.x]",
         "df -h /var/backups;  `rpo_s` in [backup.orders.x]"),
        # It would need quotes, which depend on where it stands.
        ("backup", "odd", "df -h FOLDER", "df -h FOLDER"),
        ("service", "api", "$URL ${URL} SCHEMA.URL URL-OF-IT MY_URL [backup.NAME] NAME",
         "$URL ${URL} SCHEMA.URL URL-OF-IT MY_URL [backup.NAME] NAME"),
        ("", "", "curl PROMETHEUS URL", "curl http://prom:9090 URL"),
    ],
)  # fmt: skip
def test_a_fix_names_what_the_file_says(kind: str, name: str, fix: str, told: str) -> None:
    config = Config.model_validate(FULL).named()
    found = subjects(config, kind) if kind else []
    subject = next((one for one in found if one.name == name), None)
    assert filled(fix, subject, config) == told


def test_a_secret_in_an_address_is_not_filled_in() -> None:
    secrets.register("hunter2-hunter2")
    address = "http://h/hunter2-hunter2"
    config = Config.model_validate(TARGET | {"services": {"api": {"url": address}}}).named()
    assert filled("curl URL", subjects(config, "service")[0], config) == "curl URL"


def test_each_word_that_is_filled_in_stands_in_a_fix(tmp_path: Path) -> None:
    path = tmp_path / "readiness.toml"
    path.write_text(EVERYTHING)
    config = load(path, ENVIRONMENT, today=TODAY).config
    entries = list(catalogue.entries())
    kinds = {entry.spec.each for entry in entries} - {""}
    tables = [table for kind in kinds for table in subjects(config, kind)]
    worded = [table for table in tables if hasattr(table, "fix_words")]
    known = {word for table in worded for word in table.fix_words(config)}
    said = {word for entry in entries for word in re.findall(r"[A-Z_]{2,}", entry.spec.fix)}
    assert len(known) > 20
    assert known <= said
