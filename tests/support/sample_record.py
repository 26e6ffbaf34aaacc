"""An invented run for the tests of the reports: a release that loses requests on rollback."""

from dataclasses import dataclass
from datetime import date

from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.measurement import Limit, Measurement, Moment, at_least, at_most, equal_to
from readiness.model.record import (
    CheckResult,
    RunRecord,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
)
from readiness.report.diff import changes
from tests.support.records import LAST_WEEK, make_check, make_measurement, make_record

_API = "https://orders.staging.example"
_WAIVER = Decision(
    kind=Kind.WAIVER,
    what="database.index-use[orders-db]",
    state="applied",
    owner="ana.ruiz@example.com",
    approver="head-of-platform@example.com",
    reason="The index is built in the maintenance window of 28 November (DB-2214).",
    expires=date(2026, 11, 29),
)


@dataclass(frozen=True, slots=True)
class _Text:
    id: str
    title: str
    why: str
    fix: str
    severity: str = "major"
    effect: str = "observe"


_HEALTH = _Text(
    "monitoring.health-endpoint",
    "The health endpoint tells the state and the version",
    "A load balancer and a person at night both decide by it.",
    "Answer `GET /health` with JSON that has `status` and `version`, within 500 ms.",
)
_TARGETS = _Text(
    "monitoring.targets-up",
    "Prometheus scrapes every service, and the scrapes succeed",
    "What is not scraped cannot alert: its outage is seen by customers first.",
    "Open `/targets` in Prometheus and mend what is down there:\n\n"
    "    curl -s http://prometheus:9090/api/v1/targets | jq '.data.activeTargets[].lastError'",
)
_TRUTH = _Text(
    "monitoring.metrics-truth",
    "The request counter moves by exactly what happened",
    "Every rate and every error budget is computed from this counter.",
    "Count in the server, once per answer, and label errors by their status.",
    effect="write",
)
_DELIVERY = _Text(
    "alerting.delivery",
    "An alert reaches the person on call",
    "An alert that was accepted and never arrived is the most expensive kind of silence.",
    "Send one by hand with `amtool alert add` and read the log of Alertmanager: "
    "https://prometheus.io/docs/alerting/latest/configuration/",
    "blocker",
    "write",
)
_RUNBOOK = _Text(
    "alerting.runbook",
    "Every alert that pages names a runbook",
    "Somebody who was asleep a minute ago needs the first step, not a graph.",
    "Add a `runbook_url` annotation to each rule of severity `page`.",
    "minor",
)
_PARITY = _Text(
    "backup.restore-row-parity",
    "A restored backup has every row",
    "A dump that restores without an error may still lack rows. Only the contents tell.",
    "Compare the table named above in the source and in the restored copy, then take a new "
    'backup:\n\n    pg_dump -Fc --file=orders.dump "$DATABASE_URL"',
    "blocker",
    "write",
)
_AGE = _Text(
    "backup.age",
    "The newest backup is younger than a day and two hours",
    "Its age is what you lose.",
    "Look why the last job did not finish: `systemctl status orders-backup`.",
    "blocker",
)
_ROLLBACK = _Text(
    "deployment.rollback-lossless",
    "A bad release rolls back without a lost request",
    "A rollback is done under stress. If it drops requests, the cure is a second outage.",
    "Keep the old release serving until the new one is ready, and drain connections "
    "before it stops:\n\n    kubectl -n orders patch deployment orders --patch-file drain.yaml\n\n"
    "Then run it again with `readiness run --select deployment.rollback-lossless`.",
    "blocker",
    "disrupt",
)
_VERSION = _Text(
    "deployment.version-reported",
    "What runs is the release that is judged",
    "Evidence about another release says nothing about this one.",
    "Deploy the release named in `[target] release`, or correct it there.",
    "blocker",
)
_SCALE = _Text(
    "scaling.throughput-grows",
    "Two more replicas bring at least 1.5 times the throughput",
    "If more machines do not help, the next peak cannot be bought off.",
    "Look for what the replicas share: a lock, a connection pool, one hot row.",
    effect="load",
)
_QUERY = _Text(
    "performance.query-latency",
    "The promised queries answer within their limit",
    "A slow query holds a connection, and soon it holds all of them.",
    "Read the plan with `EXPLAIN (ANALYZE, BUFFERS)` and add the index it asks for.",
)
_INGEST = _Text(
    "performance.ingest-rate",
    "Rows are taken in at the promised rate",
    "Behind this rate a queue grows that nobody sees until it is full.",
    "Write in batches with `COPY`, and drop indexes nobody reads.",
    effect="write",
)
_INDEX = _Text(
    "database.index-use",
    "Large tables are read by index",
    "A sequential read of a large table evicts everything else from memory.",
    "Find the query in `pg_stat_statements`, then `CREATE INDEX CONCURRENTLY`.",
)
_CONNECTIONS = _Text(
    "database.connection-headroom",
    "A quarter of the connections is free at the peak",
    "The next deployment opens a second set of pools beside the first.",
    "Put pgbouncer in front, or lower the size of the pools.",
)
_DEAD = _Text(
    "database.dead-rows",
    "Dead rows are cleaned up",
    "Bloat slows every read, a little more each day.",
    "Lower `autovacuum_vacuum_scale_factor` for this table.",
    "minor",
)
_LAG = _Text(
    "database.replica-lag",
    "A row written to the primary is on the replica within a second",
    "Reads from a replica that lags show customers an order they have just cancelled.",
    "Look at `pg_stat_wal_receiver` on the replica.",
)
_TLS = _Text(
    "security.tls-versions",
    "Nothing older than TLS 1.2 is accepted",
    "Older versions can be read by whoever sits between.",
    "Set `ssl_protocols TLSv1.2 TLSv1.3;` and reload nginx.",
)
_SECRETS = _Text(
    "configuration.no-default-credentials",
    "No default credentials are accepted",
    "They are the first thing that is tried.",
    "Change the password of the account named above.",
    "blocker",
)
_SIGNED = _Text(
    "signoffs.signed",
    "Every required item is signed for this release",
    "Some questions only a person can answer.",
    "Let the person sign: `readiness signoff on-call`.",
)


def _check(
    text: _Text,
    subject: str = "",
    outcome: str = "pass",
    *measurements: Measurement,
    message: str = "",
    duration_s: float = 0.8,
    waiver: Decision | None = None,
) -> CheckResult:
    return make_check(
        text.id,
        subject,
        outcome,
        title=text.title,
        why=text.why,
        fix=text.fix,
        severity=text.severity,
        effect=text.effect,
        message=message,
        measurements=measurements,
        duration_s=duration_s,
        waiver=waiver,
    )


def _m(
    name: str,
    value: float | str | bool,
    unit: str,
    limit: Limit | None,
    source: str,
    samples: int = 1,
    after_s: float = 40,
    quantiles: tuple[tuple[float, float], ...] = (),
    timeline: tuple[Moment, ...] = (),
) -> Measurement:
    return make_measurement(
        value,
        limit,
        name=name,
        unit=unit,
        source=source,
        samples=samples,
        after_s=after_s,
        quantiles=quantiles,
        timeline=timeline,
    )


def _monitoring() -> list[CheckResult]:
    health = [
        _check(
            _HEALTH,
            service,
            "pass",
            _m(
                "slowest answer",
                slowest,
                "ms",
                at_most(500),
                f"GET https://{service}.staging.example/health",
                20,
                4,
            ),
            _m(
                "missing fields",
                0,
                "count",
                equal_to(0),
                f"GET https://{service}.staging.example/health",
                20,
                4,
            ),
        )
        for service, slowest in (("orders", 38.412), ("payments", 61.07), ("stock", 204.9))
    ]
    up = [
        _check(
            _TARGETS,
            service,
            "pass",
            _m(
                "failed scrapes in 10 min",
                0,
                "count",
                equal_to(0),
                f'count_over_time(up{{job="{service}"}}[10m])'
                f' - sum_over_time(up{{job="{service}"}}[10m])',
                40,
                6,
            ),
        )
        for service in ("orders", "payments")
    ]
    lost = _check(
        _TARGETS,
        "stock",
        "error",
        message='no series matches up{job="stock"}: Prometheus does not know the service',
    )
    truth = _check(
        _TRUTH,
        "orders",
        "pass",
        _m(
            "requests sent and not counted",
            0,
            "count",
            equal_to(0),
            'http_requests_total{service="orders",route="/readiness-probe"}',
            20,
            22,
        ),
        _m(
            "errors sent and not counted",
            0,
            "count",
            equal_to(0),
            'http_requests_total{service="orders",status="500"}',
            5,
            22,
        ),
        duration_s=16.2,
    )
    return [*health, *up, lost, truth]


def _alerting() -> list[CheckResult]:
    return [
        _check(
            _DELIVERY,
            "",
            "pass",
            _m(
                "time until it arrived",
                12.8,
                "s",
                at_most(60),
                "IMAP inbox on-call@staging.example",
                1,
                70,
            ),
            duration_s=14.1,
        ),
        _check(
            _RUNBOOK,
            "",
            "warn",
            _m(
                "paging rules without a runbook",
                2,
                "count",
                at_most(0),
                "GET http://prometheus:9090/api/v1/rules",
                31,
                12,
            ),
            message="paging rules without a runbook 2; limit 0: StockSyncLate",
        ),
    ]


def _backup() -> list[CheckResult]:
    return [
        _check(
            _AGE,
            "orders-db",
            "pass",
            _m("age", 38_412.0, "s", at_most(93_600), "/backups/orders/2026-11-20T0322Z.dump"),
        ),
        _check(
            _PARITY,
            "orders-db",
            "pass",
            _m(
                "rows that differ",
                0,
                "count",
                equal_to(0),
                "select count(*) from each of 41 tables, source and restored",
                41,
                190,
            ),
            _m(
                "time to restore",
                148.3,
                "s",
                at_most(900),
                "pg_restore --jobs=4",
                1,
                190,
                timeline=(
                    Moment(0, "empty server started"),
                    Moment(3.1, "schema restored"),
                    Moment(96.4, "rows restored"),
                    Moment(148.3, "last index built"),
                ),
            ),
            _m(
                "size",
                2_418_331_904,
                "bytes",
                at_least(1024),
                "/backups/orders/2026-11-20T0322Z.dump",
            ),
            duration_s=201.7,
        ),
    ]


def _deployment() -> list[CheckResult]:
    drill = (
        Moment(0, "prober starts, 100 requests a second", True),
        Moment(8.2, "bad release 2026.11.3-broken deployed"),
        Moment(19.6, "first answer of the bad release", False),
        Moment(24.1, "rollback started"),
        Moment(27.4, "first answer of the good release", None),
        Moment(31.9, "last failed request", True),
        Moment(60, "prober stops"),
    )
    return [
        _check(
            _ROLLBACK,
            "orders",
            "fail",
            _m(
                "failed requests",
                412,
                "count",
                equal_to(0),
                f"GET {_API}/orders, open loop",
                6000,
                420,
            ),
            _m(
                "longest gap",
                4.13,
                "s",
                at_most(1),
                f"GET {_API}/orders, open loop",
                6000,
                420,
                timeline=drill,
            ),
            _m(
                "versions seen",
                "2026.11.3, 2026.11.3-broken",
                "text",
                None,
                f"GET {_API}/version",
                6000,
                420,
            ),
            message="failed requests 412; limit 0; longest gap 4.13 s; limit 1",
            duration_s=71.9,
        ),
        _check(
            _VERSION,
            "orders",
            "pass",
            _m("release", "2026.11.3", "text", equal_to("2026.11.3"), f"GET {_API}/version"),
        ),
        _check(
            _SCALE,
            "orders",
            "not-run",
            duration_s=0,
            message="effect load is not allowed for this target: start with --allow load",
        ),
    ]


def _performance() -> list[CheckResult]:
    slow = (
        (0.5, 34.2),
        (0.75, 58.8),
        (0.9, 88.3),
        (0.95, 104.6),
        (0.99, 212.4),
        (1.0, 341.9),
    )
    fast = ((0.5, 1.9), (0.75, 2.4), (0.9, 3.3), (0.95, 4.1), (0.99, 9.7), (1.0, 31.5))
    return [
        _check(
            _QUERY,
            "open-orders",
            "fail",
            _m(
                "p95 latency",
                104.6,
                "ms",
                at_most(100),
                "select id, total from orders where customer = $1 and state = 'open'"
                " order by created desc limit 50",
                400,
                300,
                quantiles=slow,
            ),
            message="p95 latency 104.6 ms; limit 100: customers wait for this list",
            duration_s=22.4,
        ),
        _check(
            _QUERY,
            "order-by-id",
            "pass",
            _m(
                "p95 latency",
                4.1,
                "ms",
                at_most(25),
                "select * from orders where id = $1",
                400,
                320,
                quantiles=fast,
            ),
            duration_s=2.1,
        ),
        _check(
            _INGEST,
            "orders",
            "pass",
            _m(
                "rate",
                18_211.4,
                "rows/s",
                at_least(5000),
                "COPY readiness_probe.orders FROM STDIN",
                5,
                340,
            ),
            duration_s=6.6,
        ),
    ]


def _rest() -> list[CheckResult]:
    return [
        _check(
            _INDEX,
            "orders-db",
            "waived",
            _m(
                "sequential reads of large tables",
                0.31,
                "ratio",
                at_most(0.05),
                "pg_stat_user_tables, 7.2 days since the last reset",
                41,
            ),
            message="sequential reads of large tables 0.31 ratio; limit 0.05: audit_log",
            waiver=_WAIVER,
        ),
        _check(
            _CONNECTIONS,
            "orders-db",
            "pass",
            _m(
                "connections used at the peak",
                0.61,
                "ratio",
                at_most(0.75),
                "max_over_time(pg_stat_activity_count[7d]) / pg_settings_max_connections",
                10_080,
            ),
        ),
        _check(
            _DEAD,
            "orders-db",
            "pass",
            _m(
                "dead rows in the worst table",
                0.043,
                "ratio",
                at_most(0.2),
                "pg_stat_user_tables",
                41,
            ),
        ),
        _check(_LAG, "orders-db", "not-applicable", message="the target declares no replica"),
        _check(
            _TLS,
            "orders",
            "pass",
            _m(
                "old versions accepted",
                "none",
                "text",
                equal_to("none"),
                "TLS handshakes with orders.staging.example:443",
                4,
            ),
        ),
        _check(
            _SECRETS,
            "orders-db",
            "pass",
            _m(
                "default accounts let in",
                0,
                "count",
                equal_to(0),
                "connecting to orders-db.staging.example:5432",
                6,
            ),
        ),
        _check(
            _SIGNED,
            "on-call",
            "pass",
            _m("days until it expires", 71, "count", at_least(0), "[[signoff]] on-call"),
        ),
        _check(
            _SIGNED,
            "security-review",
            "pass",
            _m("days until it expires", 9, "count", at_least(0), "[[signoff]] security-review"),
        ),
    ]


def _before() -> RunRecord:
    """The same target a week earlier: another query limit, and two other outcomes."""
    earlier = [
        c.model_copy(update={"outcome": Outcome.PASS})
        if c.id == _ROLLBACK.id
        else c.model_copy(update={"outcome": Outcome.FAIL})
        if c.id == _DELIVERY.id
        else c
        for c in _all()
        if c.id != _RUNBOOK.id
    ]
    limits = {"order-by-id": at_most(40)}
    earlier = [
        c.model_copy(
            update={"measurements": tuple(m.against(limits[c.subject]) for m in c.measurements)}
        )
        if c.subject in limits
        else c
        for c in earlier
    ]
    return make_record(earlier, began=LAST_WEEK, run_id="20261113-0941-22d0")


def _all() -> list[CheckResult]:
    return [*_monitoring(), *_alerting(), *_backup(), *_deployment(), *_performance(), *_rest()]


def sample() -> RunRecord:
    """The run itself."""
    checks = _all()
    suites = [
        SuiteResult(name=name, state=SuiteState.VERIFIED)
        for name in sorted({c.suite for c in checks})
    ]
    record = make_record(checks, suites=suites)
    return make_record(
        checks,
        suites=[
            *suites,
            SuiteResult(
                name="platforms",
                state=SuiteState.NOT_APPLICABLE,
                reason="the service runs on one platform",
            ),
        ],
        target=TargetFacts(
            name="orders", environment="staging", release="2026.11.3", fingerprint="b41c-90ee-77d2"
        ),
        decisions=(
            _WAIVER,
            Decision(
                kind=Kind.WAIVER,
                what=f"{_DEAD.id}[stock-db]",
                owner="bo.lind@example.com",
                approver="head-of-platform@example.com",
                state="unused",
                reason="The nightly import leaves dead rows until noon.",
                expires=date(2026, 12, 31),
            ),
        ),
        signoffs=(
            SignoffNote(
                item="on-call",
                person="Dee Okafor",
                release="2026.11.3",
                evidence="https://wiki.example/on-call/orders",
                expires=date(2027, 1, 30),
            ),
            SignoffNote(
                item="security-review",
                person="Ines Falk",
                release="2026.11.3",
                evidence="SEC-1182",
                expires=date(2026, 11, 29),
            ),
        ),
        changes=changes(_before(), record),
    )
