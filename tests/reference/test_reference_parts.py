"""Parts that a machine may lack: each check has a subject or a reason, each package a remedy."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner

from readiness import reference
from readiness.areas.backup.reference.backups import Backups
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.areas.configuration.reference import ci_server
from readiness.areas.configuration.reference.target import Configured
from readiness.areas.database.reference.target import Around
from readiness.areas.deployment.reference.target import ReleaseFiles
from readiness.areas.monitoring.reference import error_tracker, grafana
from readiness.areas.monitoring.reference.target import Watch
from readiness.areas.performance.reference import DECLARED_BY_FAULTS
from readiness.areas.platforms.reference import platform_server
from readiness.areas.schema.reference import Facts as SchemaFacts
from readiness.areas.security.reference.cache import Catalog
from readiness.areas.security.reference.target import Audited, Front
from readiness.areas.signoff.reference import Signed, make
from readiness.cli.main import main
from readiness.config.loading import load
from readiness.config.models import Config
from readiness.config.subjects import subjects
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.reference.parts import PARTS, Part, absent_here, coverage, no_copier, not_applicable
from readiness.reference.target import Facts, readiness_toml
from readiness.run import catalogue
from readiness.servers.binaries import Binaries
from readiness.servers.fleet.starting import Fleet
from readiness.servers.processes import Daemon
from readiness.servers.programs import WITHOUT, AbsentError
from readiness.servers.shop import Shop
from tests.support.processes import skip

PROGRAMS = Binaries(Path("/usr/lib/postgresql/18/bin"), "18.6", "local")
DAY = date(2026, 11, 22)
HERE = "http://127.0.0.1:9"
SPECS = [entry.spec for entry in catalogue.entries()]
HTTPS = "https://127.0.0.1:9"
SHOP = Shop(
    **dict.fromkeys(
        ("superuser", "admin", "owner", "app", "monitor", "backup", "replica", "drill"), ""
    ),
    release="18.6",
    has_statistics=True,
    has_amcheck=True,
    measures_bloat=True,
)
EXPORTERS = {"postgres_exporter", "node_exporter", "blackbox_exporter"}
SECRETS = (
    *(f"REFERENCE_{name}_DSN" for name in ("MONITOR", "APP", "OWNER", "BACKUP", "DRILL")),
    *(f"REFERENCE_{name}_DSN" for name in ("STANDBY", "POOLER", "METRICS")),
)
ENVIRON = {
    **dict.fromkeys(SECRETS, "postgresql://role:long-password@127.0.0.1:9/shop"),
    "REFERENCE_TRACKER_DSN": "http://a-long-key@127.0.0.1:9/1",
    grafana.TOKEN: "a-long-token",
    error_tracker.TOKEN: "another-long-token",
    ci_server.TOKEN: "a-third-long-token",
    "REFERENCE_ADMIN_TOKEN": "a-third-long-token",
    platform_server.TOKEN: "a-fourth-long-token",
}
Lacking = Callable[..., tuple[Config, dict[str, str]]]


@cache
def idle() -> Guardian:
    """Nothing is started that it would have to end."""
    with Guardian() as guardian:
        return guardian


def facts(folder: Path, absent: Collection[str], signed: Signed) -> Facts:
    """A system that never ran, as it would be told of without some of its parts."""
    watched = "prometheus" not in absent
    archive = None if "WAL archive" in absent else WalArchive(folder / "archive", "pgbackrest")
    backups = Backups(
        folder / "backups", folder / "layers", folder / "offsite", folder / "vault",
        has_amcheck="pg_amcheck" not in absent, archive=archive,
    )  # fmt: skip
    daemon = Daemon("fleet", lambda port: [str(port)], folder, idle(), port=9)
    catalog = Catalog("redis-server", folder / "catalog", idle())
    dashboard = folder / "dashboard.json"
    dashboard.write_bytes(Path(grafana.__file__).with_name("dashboard.json").read_bytes())
    return Facts(
        service=HERE,
        release="1.5.0",
        watch=Watch(
            prometheus=HERE if watched else None,
            running=EXPORTERS - set(absent),
            service=HERE,
            site=None if "site" in absent else "https://127.0.0.1:9",
            grafana=HERE if watched else None,
            dashboard=dashboard,
            tracker=HERE,
        ),
        around=Around(standby="standby" not in absent, pooler="pooler" not in absent),
        schema=SchemaFacts(
            folder / "manifest.json", folder / "migrations", has_squawk="squawk" not in absent
        ),
        cluster=folder / "cluster",
        history=folder / "shop.history",
        metrics_history=None if "timescale" in absent else folder / "metrics.history",
        fleet=None if "fleet" in absent else Fleet(HERE, "1.5.0", daemon, folder / "behaviour"),
        front=None if "edge" in absent else Front(HTTPS, HERE, HTTPS, HERE, folder / "edge"),
        has_linter="compose-lint" not in absent,
        catalog=None if "redis" in absent else catalog,
        audited=Audited(folder / "audit.json", folder / "audit.commit", "c41e8ab"),
        released=ReleaseFiles(folder / "release", has_database="backup" not in absent),
        alertmanagers=[] if "alertmanager" in absent else [HERE, "http://127.0.0.1:10"],
        inbox=HERE,
        pager=HERE,
        configured=Configured(folder / "configuration", folder / "service.pid", HERE),
        platforms=HERE,
        listener=9,
        backups=None if "backup" in absent else backups,
        signed=replace(signed, keys=None if "ssh-keygen" in absent else signed.keys),
    )


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    made = make(tmp_path_factory.mktemp("signed"), "1.5.0")
    try:
        if made.keys is None:
            skip(AbsentError("ssh-keygen is not here", remedy="apt-get install openssh-client"))
        yield made
    finally:
        made.stop()


@pytest.fixture
def lacking(tmp_path: Path, signed: Signed) -> Lacking:
    """The configuration without some parts, and what is said not to apply."""

    def made(*absent: str) -> tuple[Config, dict[str, str]]:
        file = tmp_path / "readiness.toml"
        file.write_text(readiness_toml(facts(tmp_path, absent, signed)), encoding="utf-8")
        config = load(file, ENVIRON).config
        reasons = {name: f"there is no {name} here" for name in absent}
        return config, not_applicable(config, reasons, SPECS)

    return made


def unexplained(config: Config, found: Collection[str]) -> set[str]:
    """The checks that the run would show as not run."""
    missing = {s.id for s in SPECS if s.each and not subjects(config, s.each, s.needs)}
    return missing - set(found) - DECLARED_BY_FAULTS.keys()


def test_complete_system_declares_a_subject_for_every_check(lacking: Lacking) -> None:
    config, found = lacking()
    assert (unexplained(config, ()), found) == (set(), {})


def test_drill_that_closes_the_database_runs_apart_from_deployment_drills(lacking: Lacking) -> None:
    config, _ = lacking()
    (drill,) = [s.drill for s in config.services.values() if s.drill]
    assert drill.dependency == "the shop database"
    lists = config.gate.independent
    assert ["deployment", "scaling"] in lists
    assert "monitoring" not in {name for row in lists for name in row}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_without_a_part_each_check_has_a_subject_or_that_reason(
    lacking: Lacking, part: Part
) -> None:
    config, found = lacking(part.name)
    assert unexplained(config, found) == set()
    assert set(found.values()) <= {f"there is no {part.name} here"}
    # Without pg_amcheck the agreed level of the restore is a lower one; without git a fault is not
    # tried; without squawk the checks of migrations judge the rest.
    merged = {"node_exporter", "pg_amcheck", "pooler", "postgres_exporter", "site", "squawk", "git"}
    assert found or part.name in merged


def test_without_squawk_the_locks_of_migrations_are_still_judged(lacking: Lacking) -> None:
    config, found = lacking("squawk")
    migrations = config.databases["shop"].migrations
    assert (found, migrations and migrations.lint) == ({}, False)


def test_without_any_two_parts_each_check_has_a_subject_or_reason(lacking: Lacking) -> None:
    left = {
        pair: undeclared
        for pair in combinations((part.name for part in PARTS if part.tables), 2)
        if (undeclared := unexplained(*lacking(*pair)))
    }
    assert left == {}


def test_without_all_parts_the_other_checks_have_subjects(lacking: Lacking) -> None:
    config, found = lacking(*(part.name for part in PARTS))
    assert unexplained(config, found) == set()
    judged = {spec.suite for spec in SPECS} - {
        suite
        for suite in {spec.suite for spec in SPECS}
        if {spec.id for spec in SPECS if spec.suite == suite} <= found.keys()
    }
    assert judged >= {"database", "deployment", "monitoring", "performance", "scaling", "schema"}


def test_check_that_no_absent_part_explains_is_not_excused(lacking: Lacking) -> None:
    config, _ = lacking("standby")
    assert "database.standby-connected" not in not_applicable(config, {"pooler": "why"}, SPECS)


def test_every_check_that_a_part_names_exists() -> None:
    assert {check for part in PARTS for check in part.checks} <= {spec.id for spec in SPECS}


def test_check_of_two_absent_parts_has_the_first_reason(
    lacking: Lacking,
) -> None:
    _, found = lacking("prometheus", "pg_stat_statements")
    assert found["monitoring.database-overhead"] == "there is no pg_stat_statements here"


def test_most_specific_part_gives_the_reason(lacking: Lacking) -> None:
    _, found = lacking("prometheus", "blackbox_exporter", "alertmanager")
    assert found["monitoring.blackbox-probes"] == "there is no blackbox_exporter here"
    assert found["monitoring.scrape-jobs"] == "there is no prometheus here"
    assert "alerting.engine" not in found


def test_not_applicable_checks_are_written_with_their_reason(
    tmp_path: Path, signed: Signed
) -> None:
    why = 'C:\\programs has no "pgbouncer"'
    file = tmp_path / "readiness.toml"
    told = replace(facts(tmp_path, ["pooler"], signed), lacking={"database.replication-lag": why})
    file.write_text(readiness_toml(told), encoding="utf-8")
    [decision] = load(file, ENVIRON).config.not_applicable
    assert (decision.what, decision.reason) == ("database.replication-lag", why)


def test_coverage_is_one_line_with_each_reason_once() -> None:
    every = len(PARTS)
    assert coverage({"provider docker": "no engine"}) == f"{every} parts of {every}"
    absent = {"pooler": "no apt", "fleet": "no apt", "squawk": "pip install squawk-cli"}
    assert coverage(absent) == (
        f"{every - 3} parts of {every};"
        " without: pooler, fleet (no apt), squawk (pip install squawk-cli)"
    )


@pytest.mark.parametrize(
    ("release", "old"),
    [("15.20", False), ("15.18", False), ("15.4", True), ("14.25", True), ("18.6", False)],
)
def test_outdated_server_of_this_machine_is_an_absent_part(release: str, old: bool) -> None:
    found = absent_here(replace(SHOP, release=release), None, PROGRAMS, DAY)
    assert ("supported PostgreSQL" in found) is old


def test_missing_extension_is_an_absent_part() -> None:
    poor = replace(SHOP, has_statistics=False, has_amcheck=False, measures_bloat=False)
    known = absent_here(SHOP, None, PROGRAMS, DAY)
    assert absent_here(poor, None, PROGRAMS, DAY).keys() - known.keys() == {
        "pg_stat_statements",
        "amcheck",
        "pgstattuple",
    }


def test_disabled_program_is_an_absent_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, WITHOUT, "promtool, squawk,meminfo")
    assert absent_here(SHOP, None, PROGRAMS, DAY).keys() >= {"promtool", "squawk", "meminfo"}


def test_schema_is_copied_by_programs_not_older_than_the_server() -> None:
    assert no_copier("15.20", "15.4") == no_copier("15.20", "19beta1") == ""
    assert "15.4, but the server is 18.6" in no_copier("18.6", "15.4")


def test_all_packages_of_the_extra_are_installed() -> None:
    reference.require()


def test_missing_package_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        reference, "find_spec", lambda name: None if name == "uvicorn" else object()
    )
    with pytest.raises(ReferenceSystemError) as told:
        reference.require()
    assert "not installed: uvicorn" in told.value.sentence
    assert "py3-none-any.whl[reference]'" in str(told.value)


@pytest.mark.parametrize("command", [["run", "--reference"], ["prove"]])
def test_command_without_the_extra_ends_without_traceback(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "find_spec", lambda _: None)
    ended = CliRunner().invoke(main, command)
    assert ended.exit_code == 2
    assert ".whl[reference]" in ended.output
