"""The commented `readiness.toml` that `readiness init` writes."""

from pathlib import Path
from typing import Final

from readiness.config.template_before import BEFORE
from readiness.config.template_deployment import DEPLOYMENT
from readiness.model.errors import UsageError

_BEGIN: Final = """\
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
# What a reader of the report should know of the target.
#note = "a third of the size of production"
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
# Drills that do not disturb each other: rows of suites or check ids, which run beside each other.
# Name only what shares nothing: no service, no database, no Prometheus that a rollout asks.
#independent = [["alerting"], ["deployment", "scaling"]]
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
# Paths that must refuse whoever has no credentials.
#private = ["/admin"]

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

# What its health is held against. A `warn` is where a warning begins, the `max` (or `min`) beside
# it where it fails. These are the defaults.
#[databases.orders.limits]
# The oldest release of the server that may run; left out: any that is still supported.
#min_version = "16.4"
#minors_behind_max = 1
#connections_warn_share = 0.8
#connections_max_share = 0.9
#transaction_warn_s = 300
#transaction_max_s = 1800
#idle_transaction_warn_s = 60
#idle_transaction_max_s = 600
#blocked_warn_s = 5
#blocked_max_s = 60
#deadlocks_max_per_h = 1
# Transactions since the oldest unfrozen one, and since the oldest that rows are kept for.
#wraparound_max_age = 1000000000
#horizon_warn_xids = 1000000
#horizon_max_xids = 50000000
#prepared_max_s = 300
#vacuum_overdue_h = 24
#cache_hit_warn_share = 0.99
#cache_hit_min_share = 0.95
#temp_warn_bytes_per_h = 1073741824
#temp_max_bytes_per_h = 10737418240
#checkpoints_forced_warn_share = 0.3
#checkpoints_forced_max_share = 0.5
#replication_lag_max_s = 10
#slot_warn_bytes = 1073741824
#slot_max_bytes = 10737418240
#slot_idle_max_s = 3600
#sequence_warn_share = 0.75
#sequence_max_share = 0.9
# How much of it is read to find damage, as far as six seconds go.
#corruption_sample_bytes = 268435456

# A streaming standby, one table for each; `application_name` as in its primary_conninfo.
#[databases.orders.standbys.replica]
#dsn = "postgresql://monitor:${MONITOR_PASSWORD}@replica.staging.example.com:5432/orders"
#application_name = "replica"

# The console of the PgBouncer in front of it, as one of its `stats_users`.
#[databases.orders.pooler]
#dsn = "postgresql://monitor:${MONITOR_PASSWORD}@db.staging.example.com:6432/pgbouncer"
#wait_warn_s = 1
#wait_max_s = 5
# Where TimescaleDB keeps tables in it: one table for each hypertable.
#[databases.orders.timescale]
#min_version = "2.14"

#[databases.orders.timescale.hypertables.readings]
#table = "telemetry.readings"
# Not judged if it is left out.
#chunk_interval_h = 24
# Its older chunks must be compressed: those that the policy's age makes due, and by how much.
#compressed = true
#compression_min_coverage = 1.0
#compression_min_ratio = 0.7
# Days after which rows must be gone; kept for ever if it is left out.
#keep_d = 90
# What the rows of 30 days may take on disk, compressed where they are to be.
#growth_max_gb = 1.0
# What the database must consist of. `readiness schema save orders` writes the manifest from a
# database that is as it should be; keep the file with the code.
#[databases.orders.schema]
#manifest = "db/schema.json"
# What may come and go, such as partitions by day (`*` stands for anything).
#ignore = ["* shop.orders_2026_*"]
# As the manifest names them.
#objects = ["table shop.orders", "view shop.recent_orders"]
# The version that was agreed, or "*" for any.
#extensions = { pgcrypto = "*" }
# Tables whose rows must be guarded by row level security.
#row_security = ["shop.invoices"]
# The role that the application connects as: what it may do, and what it sees.
#app_dsn = "postgresql://app:${APP_PASSWORD}@db.staging.example.com:5432/orders"
# Rows that lead nowhere are looked for in so many rows of a table, and for so long in all.
#max_rows = 200000
#timeout_s = 30

# A table that must have rows, and new ones.
#[databases.orders.schema.rows."shop.orders"]
#min_rows = 1000
#newest_by = "created_at"
#max_age_h = 24

# A table of several tenants: each is tried. The application says which one it acts for by a
# setting, or each tenant has a login of its own.
#[databases.orders.schema.tenancy."shop.invoices"]
#column = "tenant_id"
#tenants = ["17", "18"]
#setting = "app.tenant"
# logins = { 17 = "${TENANT_17_DSN}", 18 = "${TENANT_18_DSN}" }

# How the schema is changed: "alembic", "django", "flyway", or "sql" for files as
# `0001_name.up.sql` with `0001_name.down.sql`.
#[databases.orders.migrations]
#tool = "sql"
#folder = "db/migrations"
#table = "public.schema_migrations"
#column = "version"
# With alembic or django: commands that print the SQL of one migration, and change nothing.
# up = ["alembic", "upgrade", "{previous}:{version}", "--sql"]
# down = ["alembic", "downgrade", "{version}:{previous}", "--sql"]
# How many of the newest are held to their way back, their locks, and squawk.
#newest = 3
#irreversible = []
# Objects that do not come from migrations.
#ignore = []
# SQL files: what the first migration takes for granted, and rows that the newest must keep.
#base = "db/base.sql"
#seed = "db/seed.sql"
# How long others may have to wait behind a migration that waits for a lock.
#max_blocked_s = 5
# A larger table must not be written anew under a lock.
#rewrite_max_mb = 100
#lint_exclude = []
# An empty server to try them on; left out: a private one on this machine.
#scratch_dsn = "postgresql://scratch:${SCRATCH_PASSWORD}@scratch.example.com:5432/postgres"
#timeout_s = 60

# Data that moves to new tables while the system runs: "full-copy", "dual-write", or
# "table-by-table".
#[databases.orders.transfers.accounts]
#strategy = "dual-write"
# Where the new tables are, if not in this database; and who may write there.
# new_dsn = "postgresql://monitor:${MONITOR_PASSWORD}@new.staging.example.com:5432/accounts"
#write_dsn = "postgresql://app:${APP_PASSWORD}@db.staging.example.com:5432/orders"
# What was written in the last day must be in step, after two seconds.
#window_s = 86400
#settle_s = 2
#timeout_s = 300
# Table by table: how far each has come ("waiting", "copied", "verified", "switched"), in order.
# states = "select old_table, state from shop.moves order by position"

# One of its tables: the old one by its name, the new one, and `old = "new"` for the columns.
#[databases.orders.transfers.accounts.tables."shop.customers"]
#to = "shop.accounts"
#key = { customer_id = "account_id" }
#columns = { email = "email", name = "full_name" }
#where = "deleted_at is null"
# The columns that tell when a row was written, on the old side and on the new one.
#changed = "updated_at"
#new_changed = "updated_at"
# Writes one row to the new table; it is taken back. It must be seen in the old one.
#canary = '''
# insert into shop.accounts (account_id, email, full_name)
# values (-1, 'readiness@example.com', 'x') returning account_id'''
# How fast its statements must be, by pg_stat_statements.
#[databases.orders.statements]
# The roles whose statements are judged; empty: all but the role of `dsn`.
#roles = ["orders_app"]
# Milliseconds of the mean: up to the first is good, then a warning, an alert, critical.
#warning_ms = 100
#alert_ms = 500
#critical_ms = 1000
# Fewer calls within the window do not tell how fast a statement is.
#min_calls = 20
# The window is this long where the history has a snapshot of then, and at most so long without.
#window_h = 24
#window_max_h = 192
# Slower statements must be written to the server's log.
#logged_from_ms = 500
# Each takes 5 % of its statements out of pg_stat_statements.
#evictions_max_per_day = 20

# Where the p95 of each statement can be read. PostgreSQL itself only has means.
#[databases.orders.statements.p95]
#query = "histogram_quantile(0.95, sum by (le, statement) (rate(db_statement_seconds_bucket[1h])))"
#calls = "sum by (statement) (increase(db_statement_seconds_count[1h]))"
#label = "statement"
#unit = "s"

# The alert that a slow statement must raise: one is run, and the message is looked for.
#[databases.orders.slow_alert]
#dsn = "postgresql://orders_app:${APP_PASSWORD}@db.staging.example.com:5432/orders"
#alert = "SlowQueries"
#severity = "warning"
#channel = "slack"
#message_within_s = 60

# What is expected of its indexes.
#[databases.orders.indexes]
# Days: an index that was used within them is active; one without use for so long is unused.
#active_days = 7
#unused_days = 30
# Below these sizes, unused and duplicate indexes are warnings.
#unused_max_bytes = 104857600
#duplicate_max_bytes = 1073741824
# Rows of a table from which on its foreign keys need an index.
#foreign_key_min_rows = 10000
# Indexes that may be unused.
#keep = ["public.orders_year_idx"]

# How much of its tables and indexes may be dead or empty.
#[databases.orders.bloat]
#monitor_share = 0.10
#warning_share = 0.20
#critical_share = 0.50
#index_warning_share = 0.30
#index_critical_share = 0.50
# Smaller ones are not looked at; and at most so much is read to measure exactly.
#min_bytes = 10485760
#read_max_bytes = 2147483648

# The snapshots that `readiness snapshot` takes each hour: see the guide for cron and systemd.
#[databases.orders.history]
#path = "/var/lib/readiness/orders.history"
#index_max_age_h = 2
#bloat_max_age_h = 26
#coverage_min_share = 0.5
#keep_days = 400
# A month has 30 days; the snapshots have to reach back seven to judge it.
#growth_max_bytes = 1000000000
#growth_min_days = 7
# How far back the statistics must reach to tell what is unused.
#evidence_warning_days = 30
#evidence_min_days = 7

# The Prometheus that watches the target.
#[prometheus]
#url = "http://prometheus.staging.example.com:9090"
#timeout_s = 10
#bearer = "${PROMETHEUS_TOKEN}"
#verify_tls = true
# Fifteen days.
#retention_min_h = 360
#clock_skew_max_s = 2
# The share of the scrape time-out within which nine of ten scrapes must end, and the share of
# scrapes that must succeed; both within the last hour.
#scrape_time_max_share = 0.5
#up_min_share = 0.99
#window_s = 3600
#samples_max = 20000
# Being scraped may take one percent: of time, of CPU, of the database's time.
#overhead_max_share = 0.01

# A scrape job that must be there, one table for each, under the name it has in Prometheus.
#[prometheus.jobs.api]
#interval_s = 30
#min_targets = 3
#required_metrics = ["http_requests_total"]
# `up` is only about the exporter: these say whether it reaches what it exports.
#must_be_one = []
#must_be_zero = []

# What a blackbox exporter asks, one table for each.
#[prometheus.probes.shop]
#instance = "https://shop.staging.example.com"
#certificate_min_days = 14

# The dashboards, and the Grafana that shows them.
#[grafana]
#url = "https://grafana.staging.example.com"
#token = "${GRAFANA_TOKEN}"
#timeout_s = 10
#verify_tls = true
# The uids of data sources that must be healthy.
#datasources = ["prometheus"]

# A dashboard, from Grafana by its uid, or from a file by `file`: then no Grafana is needed.
#[grafana.dashboards.overview]
#uid = "overview"
# file = "dashboards/overview.json"
#min_panels = 11
#window_s = 3600
#variables = { instance = "api-1" }
# Titles of panels that show nothing while all is well.
#may_be_empty = ["Firing alerts"]

# Where errors are collected: Sentry, or what speaks like it. A test event is sent, and read.
#[error_tracker]
#dsn = "${SENTRY_DSN}"
#url = "https://sentry.io"
#token = "${SENTRY_TOKEN}"
#organization = "shop"
#project = "api"
#within_s = 60
#timeout_s = 10

# The Alertmanager, all peers of it.
#[alertmanager]
#urls = ["http://am-0.staging.example.com:9093", "http://am-1.staging.example.com:9093"]
#timeout_s = 10
#bearer = "${ALERTMANAGER_TOKEN}"
#verify_tls = true
# Where Prometheus knows a peer by another address than this machine.
#seen_as = { "http://am-0:9093" = "http://am-0.staging.example.com:9093" }
# Its --cluster.peer-timeout.
#peer_timeout_s = 15
# How to stop the first peer, and start it again.
#stop_peer = ["docker", "compose", "stop", "am-0"]
#start_peer = ["docker", "compose", "start", "am-0"]

# How people are told.
#[alerting]
# Metrics that rules may name before their first series, and receivers that may be empty.
#no_series_yet = []
#unreached = ["blackhole"]
# Alerts at once, of which none may be lost.
#storm = 300

# What alerts of one severity must reach: of each inner list at least one channel.
#[alerting.severities.critical]
#channels = [["pagerduty", "sms"], ["slack"]]
#budget_s = 30
#repeat_max_s = 14400
#may_be_muted = false

# A way to reach people, one table for each, and where it can be read what arrived there.
#[alerting.channels.slack]
#integration = "slack"
# Whether the end of an alert must be told here, too.
#resolves = true
# What only the message of an ended alert contains.
#resolved_text = "resolve"
#[alerting.channels.slack.inbox]
#slack_channel = "C0123456789"
#token = "${SLACK_TOKEN}"
#url = "https://slack.com/api"

#[alerting.channels.pagerduty]
#integration = "pagerduty"
#[alerting.channels.pagerduty.inbox]
#pagerduty_service = "PABC123"
#token = "${PAGERDUTY_TOKEN}"
#url = "https://api.pagerduty.com"

# Two channels with the same kind of integration are told apart by the receivers they stand in.
#[alerting.channels.sms]
#integration = "webhook"
#receivers = ["sms-gateway"]
#[alerting.channels.sms.inbox]
#url = "https://sms.staging.example.com/sent"
#query = "limit=50&search={probe}"
# The key that says when a message came, where the answer is a list of objects.
#time_field = "at"
#bearer = "${SMS_TOKEN}"

#[alerting.channels.email]
#integration = "email"
#[alerting.channels.email.inbox]
#imap_host = "imap.example.com"
#port = 993
#tls = true
#user = "probe"
#password = "${IMAP_PASSWORD}"
#mailbox = "INBOX"

#[alerting.channels.chat]
#integration = "webhook"
#receivers = ["chat"]
#[alerting.channels.chat.inbox]
#command = ["./read-chat", "--last", "50"]

# An alert rule that must be loaded, under the name of its alert.
#[alerting.rules.SlowQueries]
#severity = "warning"
# One of these, in `unit`; `metric_unit` where the rule compares in another one.
#above = 3000
# below = 1
# equals = 0
#unit = "ms"
#metric_unit = "s"
#max_for_s = 300

# How synthetic alerts are told from real ones, and the only receiver they may reach.
#[alerting.probe]
#label = "readiness_probe"
#receiver = "readiness-probe"
#labels = { severity = "critical" }
#budget_s = 30

# A second receiver, for ids that begin with `drill-`. One webhook of it ends at a check, which
# answers with errors and delays; the other channel must not wait for it.
#[alerting.probe.drill]
#receiver = "readiness-drill"
#listen = "0.0.0.0:9469"
#beside = "chat"

# A metric that is made to breach, to walk the whole way from the scrape to the channel.
#[alerting.canary]
#alert = "ReadinessCanary"
#breach = ["./canary", "breach", "{probe}"]
#clear = ["./canary", "clear"]
#evaluation_max_s = 1
# What exposes the metric is stopped while the alert fires: the all-clear that follows is false,
# and an alert has to say so.
#stop_source = ["docker", "compose", "stop", "canary"]
#start_source = ["docker", "compose", "start", "canary"]
#loss_max_s = 60

# The alert that always fires, so that its silence is noticed: a dead Prometheus's alerts are
# called resolved after four minutes.
#[alerting.dead_man]
#alert = "Watchdog"
#channel = "chat"
#max_silence_s = 240
# How to stop Prometheus, and where the dead man's switch calls when its beats no longer come.
#stop = ["docker", "compose", "stop", "prometheus"]
#start = ["docker", "compose", "start", "prometheus"]
#calls = "sms"
#call_text = "Watchdog"

# An alert engine of the target's own, beside Alertmanager or instead of it: what raises an alert
# in it and ends it, and which channels must hear of it. A channel that stands only here, and in
# no severity, is not expected of Alertmanager.
#[alerting.engine]
#trigger = ["./alerts", "raise", "{probe}"]
#resolve = ["./alerts", "resolve", "{probe}"]
#channels = ["chat"]
#within_s = 30

# Where it keeps what it told; the entry is found by the id, and its end by a key that is set ...
#[alerting.engine.history]
#url = "https://api.staging.example.com/alerts"
#query = "search={probe}"
#end_field = "resolved_at"
# ... or else by what only the entry of an ended alert contains.
#resolved_text = "resolve"
#bearer = "${API_TOKEN}"

# The number of all alerts so far, by its keys.
#[alerting.engine.statistics]
#url = "https://api.staging.example.com/alerts/statistics"
#field = "alerts.total"
#bearer = "${API_TOKEN}"

# Who is told when nobody acknowledges.
#[alerting.engine.escalation]
#second = "email"
#after_s = 900
#acknowledge = ["./alerts", "acknowledge", "{probe}"]

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
# The newest must be at least so large, against the one before it and the tables on disk.
#previous_share_min = 0.5
#database_share_min = 0.005
# Seconds of writes that may be lost, measured at the restored copy.
#rpo_s = 93600
# How far back one must be able to go.
#retention_days = 30
# The role that makes the dumps: no policy may hide rows from it.
#role = "backup"
# Whether whoever finds the files must not be able to read them.
#encrypted = false
# How far the proof of restore must go: 3 restores without an error, 4 has the same rows, schema
# and sequences, 5 is physically sound, 6 the application writes in it, 7 within rpo_s and rto_s,
# 8 damaged copies are rejected.
#restore_level = 4

# What the application does, tried as its role in the restored copy and rolled back.
#[backup.orders.application]
#role = "orders_app"
#reads = ["select id from orders order by id desc limit 1"]
#writes = ["insert into orders (customer_id, total) values (1, 100) returning id"]

# What else is backed up: full, schema, data (pg_dump), globals (pg_dumpall), volume (tar).
#[backup.orders.layers.roles]
#holds = "globals"
#folder = "/var/backups/globals"
#pattern = "globals-*.sql"
#newest_max_h = 26

# A second copy: a command that prints SIZE<tab>NAME, or a `folder` that is mounted here.
#[backup.orders.copies.offsite]
#list_command = ["rclone", "lsf", "--format", "sp", "--separator", "\t", "offsite:orders"]
#other_device = true
#behind_max_h = 4

# An object of our own that the application must not be able to delete.
#[backup.orders.immutable]
#put = ["aws", "s3", "cp", "/etc/hostname", "s3://backups/{object}"]
#exists = ["aws", "s3api", "head-object", "--bucket", "backups", "--key", "{object}"]
#let_in = ["aws", "--profile", "app", "s3", "ls", "s3://backups/{object}"]
#delete = ["aws", "--profile", "app", "s3", "rm", "s3://backups/{object}"]
#remove = ["aws", "--profile", "keeper", "s3", "rm", "s3://backups/{object}"]

# The server's files and its WAL, copied by pgbackrest, barman, wal-g, basebackup or a command.
#[backup.orders-wal]
#database = "orders"
#tool = "pgbackrest"
#path = "s3://backups/pgbackrest"
#[backup.orders-wal.physical]
#command = ["pgbackrest", "--stanza=orders"]
# Barman's name of the server.
#server = "orders"
# Who the tool and the restored server run as, where the gate runs as root.
#account = "postgres"
# May create a schema, pg_create_restore_point and pg_switch_wal: for the two checks that write.
#dsn = "postgresql://drill:${DRILL_PASSWORD}@db.staging.example.com:5432/orders"
#archived_within_s = 60
#backlog_max = 10
#superuser = "postgres"
# A row that somebody writes regularly: how old it is in the restored copy is what would be lost.
#heartbeat_sql = "select max(at) from heartbeat"
# Settings that the restored server needs beside our own.
#[backup.orders-wal.physical.settings]
#shared_preload_libraries = "timescaledb"
# Where tool = "command": each prints what a tool would; {folder} and {point} are filled in.
#[backup.orders-wal.physical.commands]
#list = ["./backups", "list", "--json"]
#verify = ["./backups", "verify", "--json"]
#segments = ["./backups", "wal"]
#restore = ["./backups", "restore", "--into", "{folder}", "--to", "{point}"]

# A workload that an autoscaler scales, and how it is to do that.
#[scaling.api]
#workload = "deployment/api"
# Rendered manifests (helm template, kustomize build), and live objects:
# kubectl get hpa.v2.autoscaling,deploy,pdb,quota,limits -n shop -o json > live.json
#manifests = ["k8s/*.yaml", "k8s/live.json"]
#live_max_age_h = 24
#min_replicas = 3
#max_replicas = 10
# Percent of the requests; 0 where it does not scale by this resource.
#cpu_percent = 70
#memory_percent = 80
# Pods that it adds and removes in which time: no more and no fewer.
#up_pods = 2
#up_s = 15
#down_pods = 1
#down_s = 60
# Pods that a rolling update may make unavailable.
#max_unavailable = 0
# Whether a cluster autoscaler adds nodes.
#nodes_grow = false
# The connection budget: the most that one replica opens, and its role.
#database = "orders"
#database_role = "orders_app"
#connections_per_replica = 10

# The cluster that its live objects are read from with kubectl; nothing is changed.
#[scaling.api.cluster]
#context = "staging"
#namespace = "shop"
#timeout_s = 30

# The drill: it is made to scale up and down while a prober sends requests to `url`. It needs
# `disrupt` in `allow`, and `--allow disrupt`. Without Kubernetes, [scaling.NAME] needs only the
# replica counts, the speed, and this.
#[scaling.api.live]
#url = "https://shop.staging.example.com/version"
# Prints how many replicas serve now; and the header that names the replica that answered.
#replicas = ["./replicas.sh"]
#replica_header = "x-replica"
#bearer = "${API_TOKEN}"
#verify_tls = true
# What makes it scale up: requests a second to `url`. Or `load`, a command that the drill stops;
# or `up` and `down`, where nothing scales by itself.
#load_rate_per_s = 400
# load = ["k6", "run", "load.js"]
# up = ["./scale.sh", "6"]
# down = ["./scale.sh", "3"]
# Replicas that must serve under that load.
#loaded_replicas = 6
# Seconds until they serve; and after the load, until `min_replicas` are left.
#up_within_s = 180
#down_within_s = 900
# The prober, what is steady, and when the drill is aborted: see [deployment].
#rate_per_s = 50
#timeout_s = 2
#steady_s = 10
#abort_failures = 20
#abort_outage_s = 5

"""

_END: Final = """\
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

TEMPLATE: Final = _BEGIN + DEPLOYMENT + BEFORE + _END


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
