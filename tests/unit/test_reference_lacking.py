"""What a machine cannot have is declared with the reason, and nothing else is."""

from dataclasses import replace
from datetime import date

import pytest

from readiness.reference.database import Shop
from readiness.reference.lacking import COPIER, MEMORY, lacking, no_copier

DAY = date(2026, 11, 22)
ROLES = ("superuser", "admin", "owner", "app", "monitor", "backup", "replica", "drill")
WHOLE = Shop(
    **dict.fromkeys(
        ("superuser", "admin", "owner", "app", "monitor", "backup", "replica", "drill"), ""
    ),
    release="18.6",
    has_statistics=True,
    has_amcheck=True,
    measures_bloat=True,
)


@pytest.mark.parametrize(
    ("release", "old"),
    [("15.20", False), ("15.18", False), ("15.4", True), ("14.25", True), ("18.6", False)],
)
def test_an_old_server_of_this_machine_is_no_finding_here(release: str, old: bool) -> None:
    found = lacking(replace(WHOLE, release=release), {}, DAY)
    assert found.keys() == ({"database.version-supported"} if old else set())


def test_a_part_that_is_absent_takes_its_checks_with_it() -> None:
    assert lacking(WHOLE, {"standby": "why"}, DAY) == {
        "database.standby-connected": "why",
        "database.replication-lag": "why",
    }
    assert lacking(WHOLE, {"squawk": "why"}, DAY) == {"schema.migrations-lint": "why"}
    assert lacking(WHOLE, {"provider docker": "no engine"}, DAY) == {}


def test_a_schema_is_copied_by_programs_that_are_not_older_than_its_server() -> None:
    assert no_copier("15.20", "15.4") == no_copier("15.20", "19beta1") == ""
    assert "15.4, and the server is 18.6" in no_copier("18.6", "15.4")
    found = lacking(WHOLE, {COPIER: "too old", MEMORY: "none"}, DAY)
    assert found == {
        "deployment.previous-on-new-schema": "too old",
        "deployment.memory": "none",
    }


def test_an_extension_that_is_absent_takes_its_checks_with_it() -> None:
    found = lacking(replace(WHOLE, has_amcheck=False), {}, DAY)
    assert found == {"database.corruption-sample": "this PostgreSQL comes without amcheck"}
    assert "database.table-bloat" in lacking(replace(WHOLE, measures_bloat=False), {}, DAY)
    assert "database.statement-latency" in lacking(replace(WHOLE, has_statistics=False), {}, DAY)
