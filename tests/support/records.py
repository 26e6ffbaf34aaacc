"""Records for tests: one factory, one check of every outcome, and the course of a drill."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from readiness.model.check import Effect, Severity
from readiness.model.course import Band, Course, Series, Track
from readiness.model.decision import Decision, Kind
from readiness.model.evidence import Outcome
from readiness.model.measurement import Limit, Measurement, Moment, at_most, equal_to
from readiness.model.record import (
    CheckResult,
    Facts,
    Incident,
    RunFacts,
    RunRecord,
    Selection,
    SignoffNote,
    SuiteResult,
    SuiteState,
    TargetFacts,
    load,
)
from readiness.model.verdict import judge

SLOTS = 40


def lost_requests() -> Course:
    """Ten seconds: 1.4.0 goes at 4 s, 1.5.0 comes at 5 s, and no replica serves in between."""
    old = tuple(10.0 if slot < 16 else 0.0 for slot in range(SLOTS))
    new = tuple(10.0 if slot >= 20 else 0.0 for slot in range(SLOTS))
    failed = tuple(10.0 if 16 <= slot < 20 else 0.0 for slot in range(SLOTS))
    served = tuple(2.0 if 14 <= slot < 24 else 3.0 for slot in range(SLOTS))
    return Course(
        0.25,
        (Band(0, 3, "steady"), Band(3, 10, "deploy 1.5.0")),
        (
            Track("answers by release", "parts", (Series("1.4.0", old), Series("1.5.0", new))),
            Track("failed requests", "misses", (Series("failed requests", failed),)),
            Track("replicas that serve", "level", (Series("replicas", served),), 3, "3 needed"),
        ),
        ("deploy 1.5.0 (40 failed): start the new release before the old one is stopped",),
    )


BEGAN = datetime(2026, 11, 20, 14, 3, 7, tzinfo=UTC)
LAST_WEEK = datetime(2026, 11, 13, 9, 41, 52, tzinfo=UTC)


def make_measurement(
    value: float | str | bool = 41.2,
    limit: Limit | None = None,
    *,
    name: str = "p95 latency",
    unit: str = "ms",
    source: str = "GET http://orders.staging.example/orders",
    samples: int = 400,
    after_s: float = 60,
    quantiles: Iterable[tuple[float, float]] = (),
    timeline: Iterable[Moment] = (),
    course: Course | None = None,
) -> Measurement:
    return Measurement(
        name, value, unit, source, samples, BEGAN + timedelta(seconds=after_s), limit,
        tuple(quantiles), tuple(timeline), course,
    )  # fmt: skip


def make_check(
    id: str = "performance.query-latency",  # noqa: A002 - the word of the record
    subject: str = "orders-db",
    outcome: Outcome | str = Outcome.PASS,
    *,
    title: str = "The promised queries answer within their limit",
    severity: Severity | str = Severity.MAJOR,
    effect: Effect | str = Effect.OBSERVE,
    message: str = "",
    why: str = "A slow query holds a connection, and soon all of them.",
    fix: str = "Read the plan with `EXPLAIN (ANALYZE, BUFFERS)`.",
    measurements: Iterable[Measurement] | None = None,
    duration_s: float = 1.24,
    waiver: Decision | None = None,
) -> CheckResult:
    given = [make_measurement(limit=at_most(100))] if measurements is None else measurements
    return CheckResult(
        id=id,
        subject=subject,
        suite=id.partition(".")[0],
        title=title,
        severity=Severity(severity),
        effect=Effect(effect),
        outcome=Outcome(outcome),
        message=message,
        why=why,
        fix=fix,
        started=BEGAN + timedelta(seconds=30),
        duration_s=duration_s,
        measurements=tuple(given),
        waiver=waiver,
    )


def make_record(
    checks: Iterable[CheckResult] | None = None,
    *,
    began: datetime = BEGAN,
    run_id: str = "20261120-1403-7c1e",
    target: TargetFacts | None = None,
    suites: Iterable[SuiteResult] | None = None,
    report_only: bool = False,
    selection: Selection | None = None,
    **facts: object,
) -> RunRecord:
    """A judged record; `facts` are further fields of `Facts`."""
    kept = (make_check(),) if checks is None else tuple(checks)
    names = sorted({check.suite for check in kept})
    return judge(
        Facts(
            target=target
            or TargetFacts(
                name="orders",
                environment="staging",
                release="2026.11.3",
                fingerprint="b41c-90ee",
            ),
            run=RunFacts(
                id=run_id,
                started=began,
                finished=began + timedelta(minutes=11, seconds=42),
                duration_s=702.3,
                tool_version="0.1.0",
                config_sha256="9f2c" * 16,
                selection=selection or Selection(),
                report_only=report_only,
                config_file="readiness.toml",
                host="ci-runner-7",
                user="release-bot",
            ),
            checks=kept,
            suites=tuple(
                [SuiteResult(name=n, state=SuiteState.VERIFIED) for n in names]
                if suites is None
                else suites
            ),
            **facts,
        )
    )


def make_many(count: int, *, subjects: int = 10) -> RunRecord:
    """A large record: one check in a hundred failed, all others passed."""
    return make_record(
        make_check(
            f"suite-{n // (subjects * 10) % 10}.requirement-{n // subjects:04}",
            f"service-{n % subjects}",
            Outcome.FAIL if n % 100 == 50 else Outcome.PASS,
            title=f"Requirement {n // subjects} holds for every service of the target",
            message="p95 latency 141.2 ms; limit 100" if n % 100 == 50 else "",
            measurements=[
                make_measurement(
                    141.2 if n % 100 == 50 else 20 + n % 79,
                    at_most(100),
                    source=f"GET http://service-{n % subjects}.staging.example/api/v1/orders",
                    after_s=n / 20,
                )
            ],
        )
        for n in range(count)
    )


def small_record() -> RunRecord:
    """One check of every outcome, for the golden files."""
    note = Decision(
        kind=Kind.WAIVER,
        what="database.index-use[orders-db]",
        state="applied",
        owner="ana@example.com",
        approver="cto@example.com",
        reason="The index is built in week 48.",
        expires=date(2026, 11, 28),
    )
    slow = make_measurement(
        104.6000001, at_most(100), quantiles=[(0.5, 12.5), (0.95, 104.6), (0.99, 1240)]
    )
    drill = make_measurement(
        3.2, at_most(2), name="longest gap", unit="s", samples=1200,
        timeline=[Moment(0, "drill began", True), Moment(4.1, "pod killed", False),
                  Moment(7.3, "ready again", True), Moment(12, "drill ended")],
    )  # fmt: skip
    pictured = make_measurement(
        40, equal_to(0), name="failed requests", unit="count", samples=400,
        timeline=[Moment(0, "steady: release 1.4.0 answers", True),
                  Moment(3, "deploy 1.5.0: 1.5.0 answers after 2.00 s"),
                  Moment(4, "requests fail: 40 x refused", False),
                  Moment(5, "all answered", True)],
        course=lost_requests(),
    )  # fmt: skip
    return make_record(
        [
            make_check("performance.query-latency", "orders-db", "fail", measurements=[slow],
                       message="p95 latency 104.6 ms; limit 100"),
            make_check("performance.query-latency", "users-db"),
            make_check("deployment.rollback-lossless", "", "fail", effect="disrupt",
                       severity="blocker", message="longest gap 3.2 s; limit 2",
                       title="A bad release rolls back without a lost request",
                       measurements=[drill, pictured]),
            make_check("monitoring.targets-up", "", "error", measurements=[],
                       title="Prometheus scrapes every service",
                       message="http://prometheus:9090: nobody answered"),
            make_check("monitoring.rules-fire", "", "not-run", measurements=[],
                       title="Every alert rule can fire", message="its worker died"),
            make_check("database.index-use", "orders-db", "waived", waiver=note,
                       title="Large tables are read by index",
                       message="sequential reads 0.31 ratio; limit 0.05",
                       measurements=[make_measurement(0.31, at_most(0.05), unit="ratio",
                                                      name="sequential reads")]),
            make_check("database.dead-rows", "orders-db", "warn", severity="minor",
                       title="Dead rows are cleaned up", message="dead rows 12345; limit 9999",
                       measurements=[make_measurement(12345, at_most(9999), unit="count",
                                                      name="dead rows")]),
            make_check("database.replica-lag", "orders-db", "not-applicable", measurements=[],
                       title="Replicas follow closely", message="the target has no replica"),
        ],
        decisions=(
            note,
            Decision(kind=Kind.WAIVER, what="backup.age", state="expired", owner="bo",
                     approver="cy", reason="Storage moved.", expires=date(2026, 10, 1)),
        ),
        signoffs=(
            SignoffNote(item="on-call", person="Dee", release="2026.11.3",
                        evidence="https://wiki.example/oncall?id=7&v=2",
                        expires=date(2027, 1, 31)),
        ),
        incidents=(Incident(kind="worker-lost", message="Worker gw1 died, and its check"),),
        suites=[
            SuiteResult(name="backup", state=SuiteState.NOT_VERIFIED, reason="nothing configured"),
            SuiteResult(name="database", state=SuiteState.VERIFIED),
            SuiteResult(name="deployment", state=SuiteState.VERIFIED),
            SuiteResult(name="monitoring", state=SuiteState.VERIFIED),
            SuiteResult(name="performance", state=SuiteState.VERIFIED),
            SuiteResult(name="security", state=SuiteState.NOT_APPLICABLE, reason="no public part"),
        ],
    )  # fmt: skip


def sample() -> RunRecord:
    """A run of a made-up shop, with every kind of figure, drill, decision and change."""
    return load(Path(__file__).parents[1] / "golden" / "report" / "sample.json")
