"""The commented `readiness.toml` that `readiness init` writes."""

from pathlib import Path
from typing import Final

from readiness.errors import UsageError

TEMPLATE: Final = """\
#:schema ./readiness.schema.json
# The target of `readiness`, and the limits it is held to.
#
# Lines that begin with `# ` are explanations; lines that begin with `#` alone are examples:
# take the `#` away to use them. A table that is left out is "not verified", and the verdict is
# INCOMPLETE until it is filled in or declared in [gate.not_applicable].
#
# ${VARIABLE} and ${VARIABLE:-default} come from the environment; `$${` is a plain `${`.
# A secret must come from there: it is never written in this file.
# `readiness config check` finds mistakes, `readiness config show` tells where each value comes
# from, and `readiness config schema > readiness.schema.json` helps your editor.

# What is judged.
[target]
name = "my-system"
# What you believe it is. The target itself says it, at the marker below; they have to agree.
#environment = "staging"
# The release or commit that is judged, and who deploys it (who may not sign it off).
#release = "${RELEASE:-1.0.0}"
#deployer = "${DEPLOYER:-deploy-bot}"
# What checks may do to it: "observe" (read), "write" (synthetic data of their own, cleaned up),
# "load" (significant traffic), "disrupt" (deploy, restart, scale). The last two also need
# `--allow EFFECT --confirm FINGERPRINT` on the command line.
#allow = ["observe", "write"]
# The same where the target says production, or says nothing.
#allow_in_production = ["observe"]

# Where the target says which environment it is: over HTTP, in a JSON object ...
#[target.marker]
#service = "api"
#path = "/version"
#field = "environment"
# ... or in a database, instead of those three:
# database = "orders"
# sql = "select environment from readiness_marker"

# How the gate decides.
#[gate]
# Folders with checks of your own.
#suites = []
#check_timeout_s = 1200
#run_timeout_s = 3600
# How far ahead a waiver may expire.
#waiver_max_days = 90

# Suites or checks that do not apply here, each with the reason. Quote an id with a dot in it.
#[gate.not_applicable]
#"security" = "the system has no users yet; see RISK-12"

# An HTTP service, one table for each.
#[services.api]
#url = "https://api.staging.example.com"
#health = "/health"
#ready = "/health/ready"
#live = "/health/live"
#metrics = "/metrics"
# Keys that the JSON of `health` must have.
#health_fields = ["status", "version"]
#health_max_ms = 500
#timeout_s = 5
# A token sent as `Authorization: Bearer`.
#bearer = "${API_TOKEN}"
#verify_tls = true

# A counter that must move by exactly what was sent.
#[services.api.truth]
#path = "/readiness/ok"
#counter = 'http_requests_total{route="/readiness/ok"}'
#requests = 20
#error_path = "/readiness/error"
#error_counter = 'http_errors_total{route="/readiness/error"}'
#errors = 5

# How to take a dependency away from the service, and bring it back.
#[services.api.drill]
#dependency = "its database"
#away = ["docker", "compose", "pause", "db"]
#back = ["docker", "compose", "unpause", "db"]
# How soon `ready` must answer 503, and 200 again.
#within_s = 10

# A PostgreSQL database, one table for each, as a monitoring role sees it.
#[databases.orders]
#dsn = "postgresql://monitor:${MONITOR_PASSWORD}@db.staging.example.com:5432/orders"
#timeout_s = 10

# The Prometheus that watches the target.
#[prometheus]
#url = "http://prometheus.staging.example.com:9090"
#timeout_s = 10

# The Alertmanager, all peers of it.
#[alertmanager]
#urls = ["http://alertmanager.staging.example.com:9093"]
#timeout_s = 10

# A backup, one table for each: a folder of `pg_dump -Fc` files.
#[backup.orders]
#database = "orders"
#path = "/var/backups/orders"
#pattern = "*.dump"
# A day and two hours.
#max_age_h = 26
#min_bytes = 1024
# Longest restore, from start to the last index.
#rto_s = 900
# An empty server to restore into; left out: a private one on this machine.
#scratch_dsn = "postgresql://restore:${RESTORE_PASSWORD}@scratch.example.com:5432/postgres"

# Performance baselines: [[performance.ingest]] and [[performance.queries]].
#[performance]

# A table that takes rows in.
#[[performance.ingest]]
#name = "orders"
#table = "public.orders"
#dsn = "postgresql://load:${LOAD_PASSWORD}@db.staging.example.com:5432/orders"
#min_rows_per_s = 1000
# Copy the triggers of the table too; false where they must not run for invented rows.
#triggers = true
#rows = 20000
#samples = 5

# How the application itself writes such rows; `{n}` becomes a number never sent before.
#[performance.ingest.write_path]
#service = "api"
#path = "/orders"
#method = "POST"
#body = '{"reference": "readiness-{n}"}'
#rows_per_request = 1
#count_sql = "select count(*) from orders where reference like 'readiness-%'"
#cleanup_sql = "delete from orders where reference like 'readiness-%'"
#dsn = "postgresql://load:${LOAD_PASSWORD}@db.staging.example.com:5432/orders"

# A query whose latency is promised.
#[[performance.queries]]
#name = "orders-of-a-customer"
#dsn = "postgresql://app:${APP_PASSWORD}@db.staging.example.com:5432/orders"
#sql = "select * from orders where customer = %s order by placed desc limit 20"
# Sets of parameters, rotated; take them from real traffic.
#params = [[17], [4711]]
#max_p95_ms = 100
#max_stall_ms = 1000
#samples = 400
#budget_s = 15

# Which sign-offs a release needs.
#[signoffs]
#required = ["runbook", "on-call"]

# What a person attests for one release; `readiness signoff` writes it.
#[[signoff]]
#item = "runbook"
#person = "A. Person"
#evidence = "https://wiki.example.com/runbook"
#release = "1.0.0"
#expires = 2030-12-31

# An accepted failure. It counts through the day it expires on.
#[[waiver]]
#check = "backup.age"
#subject = "orders"
#owner = "A. Person"
#approver = "B. Person"
#reason = "the new backup server comes next week; see RISK-13"
#expires = 2026-12-31
"""


def write_template(path: Path) -> None:
    """Write the template; an existing file is never touched.

    Raises:
        UsageError: the file exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise UsageError(
            "exists already, and is left as it is",
            where=str(path),
            remedy="edit it, or name another folder",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error
