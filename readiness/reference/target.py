"""Writes the readiness.toml of the reference system, which is also an example for users."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from readiness.areas.alerting.reference.target import alerting, own_engine, rules
from readiness.areas.backup.reference.backups import Backups, backup
from readiness.areas.configuration.reference.target import Configured, configuration
from readiness.areas.database.reference.target import Around, database, timescale
from readiness.areas.deployment.reference.target import ReleaseFiles, alone, before, deployment
from readiness.areas.manifests.reference import manifests
from readiness.areas.monitoring.reference.target import Watch, monitoring
from readiness.areas.platforms.reference.target import platforms
from readiness.areas.scaling.reference import live, scaling
from readiness.areas.schema.reference import Facts as SchemaFacts
from readiness.areas.schema.reference import schema
from readiness.areas.security.reference.cache import Catalog
from readiness.areas.security.reference.target import Audited, Front, security
from readiness.areas.signoff.reference import Signed
from readiness.areas.signoff.reference import tables as signoffs
from readiness.servers.files import quoted
from readiness.servers.fleet.starting import Fleet

_ROWS: Final = 500
_REVIEW_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file says about one running system; None for a part that it does not have.

    Attributes:
        service: address of the order service.
        watch: what monitors it.
        around: standby and pooler of its database.
        schema: the expected schema, and the migrations.
        cluster: folder of the Kubernetes manifests.
        history: file with the snapshots of the database.
        metrics_history: file with the snapshots of TimescaleDB.
        released: the files around the release.
        front: the site, served by nginx in front of the service.
        catalog: a service with Redis.
        has_linter: whether a linter is installed.
        audited: the report about its dependencies.
        alertmanagers: addresses of all peers.
        inbox: address of our replacement for the vendors.
        pager: address of the application's own alert engine.
        configured: what configures its applications.
        platforms: address of our replacement for the platforms that host it; None without one.
        listener: port on which checks observe how Alertmanager retries.
        signed: what people have signed.
        lacking: the checks that do not apply, each with the reason.
        coverage: which parts the system has.
    """

    service: str
    release: str
    watch: Watch
    around: Around
    schema: SchemaFacts
    cluster: Path
    history: Path
    metrics_history: Path | None
    fleet: Fleet | None
    released: ReleaseFiles
    front: Front | None
    catalog: Catalog | None
    has_linter: bool
    audited: Audited
    alertmanagers: list[str]
    inbox: str | None
    pager: str | None
    configured: Configured
    platforms: str | None
    listener: int
    backups: Backups | None
    signed: Signed
    lacking: Mapping[str, str] = field(default_factory=dict)
    coverage: str = ""


def readiness_toml(facts: Facts) -> str:
    """The whole file. Secrets are written as `${VARIABLE}`."""
    watched = bool(facts.watch.prometheus)
    parts = [
        _HEAD.format(release=facts.release, image=facts.signed.image, note=quoted(facts.coverage)),
        _SERVICE.format(url=facts.service, python=quoted(sys.executable)),
        database(
            facts.around,
            facts.history,
            watched=watched,
            slow_alert=_alerts(facts) and "postgres_exporter" in facts.watch.running,
        ),
        schema(facts.schema),
        timescale(facts.metrics_history) if facts.metrics_history else "",
        _not_applicable(facts.lacking),
        monitoring(facts.watch),
        _alerting(facts),
        backup(facts.backups) if facts.backups else "",
        deployment(facts.fleet) if facts.fleet else alone(facts.service, facts.release),
        before(facts.released, facts.service),
        security(facts.front, facts.audited, facts.catalog),
        scaling(facts.cluster),
        live(facts.fleet) if facts.fleet else "",
        manifests(facts.cluster.parent, has_linter=facts.has_linter),
        configuration(facts.configured),
        platforms(facts.platforms) if facts.platforms else "",
        _PERFORMANCE.replace("@ROWS@", str(_ROWS)).replace("@BODY@", _body()),
        signoffs(facts.signed),
    ]
    return "".join(parts)


def _not_applicable(lacking: Mapping[str, str]) -> str:
    review = (datetime.now(UTC) + timedelta(days=_REVIEW_DAYS)).date().isoformat()
    return "".join(
        _NOT_APPLICABLE.format(check=quoted(check), reason=quoted(reason), review=review)
        for check, reason in sorted(lacking.items())
    )


def _alerts(facts: Facts) -> bool:
    """Whether there are a Prometheus and an Alertmanager."""
    return bool(facts.watch.prometheus and facts.alertmanagers)


def _alerting(facts: Facts) -> str:
    if facts.inbox is None or facts.pager is None:
        return ""
    # The engine needs no Alertmanager.
    engine = own_engine(facts.pager, facts.inbox)
    if not _alerts(facts):
        return engine
    python = quoted(sys.executable)
    tables = alerting(facts.alertmanagers, facts.inbox, facts.listener, python)
    return tables + engine + rules(facts.watch.running)


def _body() -> str:
    order = '{"customer_id": 7, "product_id": 11, "note": "readiness-probe {n}"}'
    return "[\n" + ",\n".join([order] * _ROWS) + "\n]"


_HEAD: Final = """\
# The reference system, as a target of the readiness gate.
# Secrets are never written here: ${{VARIABLE}} takes them from the environment.

[target]
name = "reference"
# The expected environment. The target reports its own (marker), and the two must agree.
environment = "reference"
release = "{release}"
image = "{image}"
# The person or bot that deploys this release may not sign it off.
deployer = "deploy-bot"
# The parts that this machine has.
note = {note}
# Where the target reports its environment: GET /version has {{"environment": "..."}}.
marker = {{ service = "orders", path = "/version", field = "environment" }}
# What checks may do to it. Never give all four to a production system.
allow = ["observe", "write", "load", "disrupt"]

[gate]
# Every check, not only those that no system may lack.
profile = "full"
# The fleet has its own database and balancer, and does not depend on Prometheus. Monitoring is not
# listed: its drill closes the database in which drills of a deployment take their lock. The site
# has a cache and a limit of its own.
independent = [["alerting", "database"], ["deployment", "scaling"], ["security"]]
"""

_NOT_APPLICABLE: Final = """
# Left out on purpose, or a part that this machine lacks.
[[not_applicable]]
what = {check}
reason = {reason}
owner = "readiness"
approver = "readiness"
review = {review}
"""

_SERVICE: Final = """
[services.orders]
url = "{url}"
# Pages that must refuse requests without credentials.
private = ["/admin/stats"]

# A page that users open, and what they must see there.
[services.orders.paths.shop]
path = "/shop"
contains = ["<h1>Orders</h1>"]
max_ms = 1000

# Counters that must count exactly the requests sent; no other client sends these requests.
[services.orders.truth]
path = "/api/orders/1"
counter = 'http_requests_total{{route="/api/orders/{{order_id}}",method="GET",status="200"}}'
error_path = "/api/orders/0"
error_counter = 'http_requests_total{{route="/api/orders/{{order_id}}",method="GET",status="404"}}'

# How to take the database away from the service, and restore it.
[services.orders.drill]
dependency = "the shop database"
away = [{python}, "-m", "readiness.reference.drill", "away"]
back = [{python}, "-m", "readiness.reference.drill", "back"]
"""

_PERFORMANCE: Final = """
[[performance.ingest]]
name = "orders"
table = "shop.orders"
dsn = "${REFERENCE_OWNER_DSN}"
# A small table: a fifth of a second shows its rate.
rows = 5000
samples = 3

# How the application itself writes: one request stores @ROWS@ orders.
[performance.ingest.write_path]
service = "orders"
path = "/api/orders"
rows_per_request = @ROWS@
dsn = "${REFERENCE_APP_DSN}"
count_sql = "select count(*) from shop.orders where note like 'readiness-probe %'"
cleanup_sql = "delete from shop.orders where note like 'readiness-probe %'"
body = '''
@BODY@'''

[[performance.queries]]
name = "orders-of-a-customer"
dsn = "${REFERENCE_APP_DSN}"
sql = '''
select order_id, status, total_cents from shop.orders
where customer_id = %s order by created_at desc limit 20'''
params = [[1], [7], [42], [1234], [4999]]

[[performance.queries]]
name = "recent-orders"
dsn = "${REFERENCE_APP_DSN}"
sql = "select * from shop.recent_orders order by created_at desc limit 50"

# What customers do at the busiest hour. Short, so that a run ends soon; 30 s are the default.
# The limits leave room for a laptop or a CI machine that judges other things meanwhile.
[[performance.load]]
name = "customers"
service = "orders"
rate = 80
duration_s = 4
warm_up_s = 0.5
max_p95_ms = 500
max_p99_ms = 2500
min_per_s = 50

[[performance.load.requests]]
path = "/api/customers/7/orders"
weight = 3

[[performance.load.requests]]
path = "/api/customers/1234/orders"

# Two workers have eight connections each.
[[performance.pools]]
name = "orders"
service = "orders"
path = "/api/orders/2"
dsn = "${REFERENCE_OWNER_DSN}"
hold_sql = "lock table shop.orders in access exclusive mode"
hold_s = 0.3
requests = 20
max_ms = 2000

[[performance.endpoints]]
name = "one-order"
service = "orders"
path = "/api/orders/2"
# A small sample, so that a run ends soon; a laptop may judge other things meanwhile.
max_p95_ms = 300
samples = 100
budget_s = 1
"""
