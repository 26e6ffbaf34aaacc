"""What is said of files of tests is said of files that are there."""

from pathlib import Path

from tests.support import sharing

TESTS = Path(__file__).parent


def test_every_file_that_is_named_is_there() -> None:
    assert [file for file in sharing.known_files() if not (TESTS / file).is_file()] == []


def test_every_program_is_touched_by_the_fast_part() -> None:
    marked = {
        path.stem
        for path in TESTS.glob("*/test_*.py")
        if "@pytest.mark.fast\n" in path.read_text(encoding="utf-8")
    }
    assert marked == {
        "test_alerting_amtool",
        "test_barman",
        "test_database_replication",  # PgBouncer
        "test_fleet",  # HAProxy
        "test_inboxes",  # Dovecot
        "test_pgbackrest",
        "test_private_postgres",
        "test_promtool",
        "test_reference_system",  # the exporters
        "test_restore",  # pg_dump and pg_restore
        "test_rules_checks",  # Prometheus
        "test_shadow_replay",  # Alertmanager
        "test_tls",  # nginx
    }
