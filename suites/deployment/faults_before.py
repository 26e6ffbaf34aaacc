"""What proves the checks before and beside a deployment: each turns exactly the named ones red."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from readiness.model.fault import fault
from readiness.reference.system import ReferenceSystem

_COMPOSE = "deploy/docker-compose.yml"
_BACKUP = "backup"


@fault(
    turns_red={"deployment.disk-space[host]"},
    story="What the deployment writes needs more room than there is on its disk.",
)
@contextmanager
def disk_too_small(system: ReferenceSystem) -> Iterator[None]:
    """An exbibyte."""
    with system.levers.replace_in_config(
        "min_disk_bytes = 1_073_741_824", "min_disk_bytes = 1_152_921_504_606_846_976"
    ):
        yield


@fault(
    turns_red={"deployment.disk-space[host]"},
    story="A folder that the deployment writes to is not there: nobody knows what room it has.",
)
@contextmanager
def disk_not_mounted(system: ReferenceSystem) -> Iterator[None]:
    """No pass, and no finding either."""
    with system.levers.replace_in_config('disk_paths = ["', 'disk_paths = ["/no/such/place'):
        yield


@fault(
    turns_red={"deployment.memory[host]"},
    story="The machine has memory, and the cgroup of the container leaves 512 MiB of it.",
)
@contextmanager
def memory_limited(system: ReferenceSystem) -> Iterator[None]:
    """/proc/meminfo tells of 16 GiB."""
    with system.levers.in_cgroup(limit=512 * 1024 * 1024):
        yield


@fault(
    turns_red={"deployment.container-runtime[host]"},
    story="The daemon that runs the releases is down.",
)
@contextmanager
def runtime_down(system: ReferenceSystem) -> Iterator[None]:
    """Its client says so."""
    with system.levers.runtime("import sys; sys.exit('Cannot connect to the daemon')"):
        yield


@fault(
    turns_red={"deployment.container-runtime[host]"},
    story="The client of the runtime answers with nothing and with status 0: its daemon is down.",
)
@contextmanager
def runtime_silent(system: ReferenceSystem) -> Iterator[None]:
    """There are clients that do that."""
    with system.levers.runtime("pass"):
        yield


@fault(
    turns_red={"deployment.container-runtime[host]"},
    story="The release needs a newer runtime than the one that runs.",
)
@contextmanager
def runtime_too_old(system: ReferenceSystem) -> Iterator[None]:
    """It would not know an option."""
    with system.levers.replace_in_config('min_runtime = "3.11"', 'min_runtime = "99.0"'):
        yield


@fault(
    turns_red={"deployment.configuration-valid[files]"},
    story="A key stands twice in a YAML file: the parser takes the last one, and says nothing.",
)
@contextmanager
def key_stands_twice(system: ReferenceSystem) -> Iterator[None]:
    """Both values can be read in it."""
    with system.levers.edit_release_file(
        "deploy/logging.yaml", "version: 1\n", "version: 1\nroot: { level: DEBUG }\n"
    ):
        yield


@fault(
    turns_red={"deployment.configuration-valid[files]"},
    story="Somebody put a tab into a YAML file.",
)
@contextmanager
def tab_in_yaml(system: ReferenceSystem) -> Iterator[None]:
    """It looks well in the editor."""
    with system.levers.edit_release_file("deploy/logging.yaml", "  console:", "\tconsole:"):
        yield


@fault(
    turns_red={"deployment.configuration-valid[files]"},
    story="The program that reads a file refuses it.",
)
@contextmanager
def program_refuses_file(system: ReferenceSystem) -> Iterator[None]:
    """`nginx -t`, as it were."""
    with system.levers.edit_release_file("deploy/releases.json", "{", "{,"):
        yield


@fault(
    turns_red={"deployment.backup-before-deploy[database]"},
    story="The copy of the database is two days old: the step before the deployment was left out.",
    needs=_BACKUP,
)
@contextmanager
def saved_days_ago(system: ReferenceSystem) -> Iterator[None]:
    """It is whole."""
    with system.levers.age_release_file("saved/database.dump", timedelta(days=2)):
        yield


@fault(
    turns_red={"deployment.backup-before-deploy[uploads]"},
    story="The disk was full: the copy of the files is empty.",
    needs=_BACKUP,
)
@contextmanager
def saved_nothing(system: ReferenceSystem) -> Iterator[None]:
    """It is there, and fresh."""
    with system.levers.release_file("saved/uploads.tar.gz") as path:
        path.write_bytes(b"")
        yield


@fault(
    turns_red={"deployment.backup-before-deploy[configuration]"},
    story="The copy of the configuration is from tomorrow: a clock is wrong, and no age is true.",
)
@contextmanager
def saved_tomorrow(system: ReferenceSystem) -> Iterator[None]:
    """It would stay fresh for a day."""
    with system.levers.age_release_file("saved/configuration.tar.gz", timedelta(days=-1)):
        yield


@fault(
    turns_red={"deployment.backup-before-deploy[configuration]"},
    story="The configuration was not saved.",
)
@contextmanager
def layer_not_saved(system: ReferenceSystem) -> Iterator[None]:
    """The other layers were."""
    with system.levers.release_file("saved/configuration.tar.gz") as path:
        path.unlink()
        yield


@fault(
    turns_red={"deployment.backup-before-deploy[database]"},
    story="A part of the copy of the database is missing.",
    needs=_BACKUP,
)
@contextmanager
def saved_in_part(system: ReferenceSystem) -> Iterator[None]:
    """It is fresh, and nearly as large as it was."""
    with system.levers.release_file("saved/database.dump") as path:
        path.write_bytes(path.read_bytes()[:-100])
        yield


@fault(
    turns_red={"deployment.start-order[compose]"},
    story="The proxy waits until the shop was started, and not until it answers.",
)
@contextmanager
def order_loose(system: ReferenceSystem) -> Iterator[None]:
    """That is what compose takes where no condition stands."""
    with system.levers.edit_release_file(
        _COMPOSE, "\n      shop: { condition: service_healthy }\n", " [shop]\n"
    ):
        yield


@fault(
    turns_red={"deployment.start-order[compose]"},
    story="The health check of the database always says yes.",
)
@contextmanager
def health_check_lies(system: ReferenceSystem) -> Iterator[None]:
    """Everybody waits for it, as they should."""
    with system.levers.edit_release_file(_COMPOSE, "pg_isready -U shop", "exit 0"):
        yield


@fault(
    turns_red={"deployment.start-order[compose]"},
    story="Whoever waits for the database gives it up before it has recovered from a crash.",
)
@contextmanager
def database_is_given_up(system: ReferenceSystem) -> Iterator[None]:
    """On every other day it is there in a second."""
    with system.levers.edit_release_file(_COMPOSE, "retries: 30", "retries: 29"):
        yield


@fault(
    turns_red={"deployment.start-order[compose]"},
    story="The database waits for the proxy, which waits for it: nothing starts.",
)
@contextmanager
def order_in_a_circle(system: ReferenceSystem) -> Iterator[None]:
    """Over two others."""
    with (
        system.levers.edit_release_file(
            _COMPOSE,
            "image: postgres:18\n",
            "image: postgres:18\n    depends_on: { proxy: { condition: service_healthy } }\n",
        ),
        system.levers.edit_release_file(
            _COMPOSE,
            "image: haproxy:3.0\n",
            'image: haproxy:3.0\n    healthcheck: { test: ["CMD", "haproxy-is-well"] }\n',
        ),
    ):
        yield
