"""What the commented `readiness.toml` says of the time before and beside a deployment."""

from typing import Final

BEFORE: Final = """\
# The machine that the release is put on; the version of the container runtime is judged where
# `runtime` prints it. `run_on` stands before every command: ["ssh", "host"]; empty: this machine.
#[deployment.host]
#disk_paths = ["/", "/var/lib/docker"]
#min_disk_bytes = 10_737_418_240
#min_memory_bytes = 8_589_934_592
#min_available_bytes = 0
#run_on = []
#runtime = ["docker", "info", "--format", "{{.ServerVersion}}"]
#min_runtime = "20.10"

# The configuration that goes out with it. No key may stand twice in YAML, JSON, TOML or INI.
#[deployment.files]
#parse = ["deploy/*.yaml", "deploy/*.json"]
#commands = [["nginx", "-t"], ["docker", "compose", "config", "--quiet"]]

# What must be saved before, one table for each layer: database, files, configuration, image.
#[deployment.layers.database]
#path = "/var/backups/before"
#pattern = "orders-*.dump"
#max_age_min = 60
# Whether FILE.sha256 must be there, and fit.
#sha256 = true

# Every service waits until what it needs is healthy; the health check stands in the file.
#[deployment.order]
#compose = "docker-compose.yml"
# How long others have to wait for a service before they give it up: 30 tries of 10 s, as a database
# that recovers from a crash needs it. Seconds, by the name of the service; default: not judged.
#patience_s = { database = 300 }

# How to see that the release before can still be had. `prints` is a regular expression.
#[deployment.artifact]
#command = ["docker", "manifest", "inspect", "registry.example.com/shop:{release}"]
#prints = "shop:{release}"

# What runs the release and serves no HTTP: prints it, one line for each process.
#[deployment.workers.mailer]
#command = ["./worker-version.sh", "mailer"]

# What the newest deployment wrote: release, previous, by, started_at, finished_at (RFC 3339),
# result ("success", "failed", "rolled-back"), backup, and steps with name and duration_s.
#[deployment.report]
#path = "deploy-report.json"

# The release before, on the schema of this one, in a scratch database; `{dsn}`, `{port}` and
# `{release}` are filled in. It stays in the foreground, and listens on 127.0.0.1.
#[deployment.compatibility]
#database = "orders"
#start = ["./start.sh", "{release}", "--database", "{dsn}", "--port", "{port}"]
#ready = "/health/ready"
#ready_within_s = 60
#smoke = ["/orders"]
# A role that may read every table; left out: that of the database.
#dsn = "postgresql://backup:${BACKUP_PASSWORD}@db.staging.example.com:5432/orders"

"""
