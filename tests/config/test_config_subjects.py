"""What to add to readiness.toml so that a check has a subject."""

import pytest

from readiness.config.models import Config
from readiness.config.subjects import subjects, undeclared
from readiness.model.errors import UsageError

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
