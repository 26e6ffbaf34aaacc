"""The tables of performance: rows that are stored, queries, and loads with objectives."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from readiness.config.base import (
    Body,
    Command,
    Count,
    File,
    Model,
    Name,
    Path_,
    Positive,
    Text,
    Url,
    tables,
)
from readiness.lib.sampling import fewest_samples
from readiness.model.secrets import Dsn


class WritePath(Model):
    """How the application itself writes rows: one HTTP request that stores many."""

    service: Name = Field(..., description="the [services.NAME] that the request is sent to")
    path: Path_ = Field(..., description="path of the request")
    method: Literal["POST", "PUT"] = Field("POST", description="method of the request")
    body: Body = Field(..., description="the JSON body; `{n}` becomes a number never sent before")
    rows_per_request: Count = Field(..., description="rows that one request stores")
    count_sql: Text = Field(..., description="counts the rows that these requests stored")
    cleanup_sql: Text = Field(..., description="removes exactly those rows")
    dsn: Dsn = Field(..., description="a role that may run both statements")


IngestMethod = Literal["copy", "batch", "single"]


class Ingest(Model):
    """A table that stores rows at a required rate."""

    name: Name = Field(..., description="its name in the report")
    table: Text = Field(..., description="schema.table; a copy of its shape is written to")
    dsn: Dsn = Field(..., description="a role that may create a schema and read the table")
    min_rows_per_s: Positive = Field(1000, description="fewest rows per second that it must store")
    rows: Count = Field(20_000, description="rows of one COPY, or of the INSERTs of one sample")
    method: IngestMethod = Field(
        "copy",
        description="how they are written: `copy`, `batch` (INSERTs in one transaction, pipelined),"
        " `single` (INSERTs that commit each)",
    )
    samples: Annotated[int, Field(ge=3)] = Field(
        5, description="how often so many rows are written and measured"
    )
    triggers: bool = Field(
        True, description="run the table's insert triggers too; what they write elsewhere stays"
    )
    write_path: WritePath | None = Field(None, description="how the application writes rows")

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The table."""
        return {"TABLE": self.table}

    def longer(self, times: int) -> "Ingest":
        """The same, measured so many times as often."""
        return self.model_copy(update={"samples": self.samples * times})


class Query(Model):
    """A query with a promised latency."""

    name: Name = Field(..., description="its name in the report")
    dsn: Dsn = Field(..., description="the role of the application, or one like it")
    sql: Text = Field(..., description="the statement, with `%s` for each parameter")
    params: Annotated[list[list[str | int | float | bool]], Field(min_length=1)] = Field(
        default=[[]], description="parameter sets, rotated; take them from real traffic"
    )
    max_p95_ms: Positive = Field(100, description="milliseconds; slowest p95 that is promised")
    max_stall_ms: Positive = Field(
        1000, description="milliseconds; slowest single execution, which a percentile hides"
    )
    samples: Annotated[int, Field(ge=59)] = Field(
        400, description="executions measured; 59 are the least that can bound a p95"
    )
    budget_s: Positive = Field(15, description="seconds; a slow query is measured less often")
    writes: bool = Field(
        False,
        description="whether it may change the database, some hundred times; without it, a"
        " statement that writes is refused",
    )

    def longer(self, times: int) -> "Query":
        """The same, measured so many times as long."""
        return self.model_copy(
            update={"samples": self.samples * times, "budget_s": self.budget_s * times}
        )


class Request(Model):
    """One kind of request, and the statuses that are good answers to it."""

    path: Path_ = Field(..., description="path of the request")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "GET", description="method of the request"
    )
    body: Body | None = Field(
        None, description="the JSON body; `{n}` becomes a number never sent before"
    )
    status: Annotated[list[int], Field(min_length=1)] = Field(
        default=[200], description="statuses that count as answered"
    )


class Before(Model):
    """The release before, which still runs: both are requested by turns, and compared."""

    url: Url = Field(..., description="its address, as `https://previous.example.com`")
    max_ratio: Annotated[float, Field(gt=1)] = Field(
        1.2, description="slowest median, as a multiple of that of the release before"
    )
    min_ms: Positive = Field(5, description="milliseconds; a smaller difference is none")


class Endpoint(Request):
    """An HTTP endpoint with a promised latency, requested one at a time."""

    name: Name = Field(..., description="its name in the report")
    service: Name = Field(..., description="the [services.NAME] that serves it")
    max_p95_ms: Positive = Field(..., description="milliseconds; slowest p95 that is promised")
    samples: Annotated[int, Field(ge=59)] = Field(
        200, description="requests measured; 59 are the least that can bound a p95"
    )
    budget_s: Positive = Field(15, description="seconds; a slow endpoint is measured less often")
    before: Before | None = Field(
        None, description="where the release before still runs, to be compared with by turns"
    )

    def fix_words(self, config: Any) -> Mapping[str, str]:
        """The address that is requested."""
        return {"URL": f"{config.services[self.service].url}{self.path}"}

    def longer(self, times: int) -> "Endpoint":
        """The same, measured so many times as long."""
        return self.model_copy(
            update={"samples": self.samples * times, "budget_s": self.budget_s * times}
        )


class LoadRequest(Request):
    """One request of a mix."""

    weight: Count = Field(1, description="its share of the requests, against the other weights")


class Spike(Model):
    """A burst of the same requests, after which the load's p95 and errors must recover."""

    rate: Positive = Field(..., description="requests a second while it lasts")
    seconds: Positive = Field(..., description="seconds that it lasts")
    within_s: Positive = Field(
        ...,
        description="seconds after its end from which `max_p95_ms` and `max_error_ratio` are kept"
        " again, for the `duration_s` of the load",
    )


class Capacity(Model):
    """How much more than its `rate`, the declared peak, a load may become."""

    min_headroom: Annotated[float, Field(ge=1)] = Field(
        ..., description="the objectives must be kept up to this multiple of the load's `rate`"
    )
    max_rate: Positive | None = Field(
        None,
        description="requests a second of the last step; default: twice as many as `min_headroom`"
        " asks for",
    )
    steps: Annotated[int, Field(ge=2, le=50)] = Field(
        8, description="steps from `rate` to `max_rate`, each of `duration_s`; the first miss ends"
    )


class Soak(Model):
    """A long time of the same load, in which memory and connections must not grow."""

    duration_s: Positive = Field(900, description="seconds of the load")
    settle_s: Annotated[float, Field(ge=0)] = Field(
        60, description="seconds at its beginning that are not judged: caches and pools fill"
    )
    memory: Text = Field(
        "process_resident_memory_bytes",
        description="metric, or selector, of the service's metrics page; its series are summed",
    )
    memory_query: Text | None = Field(
        None,
        description="PromQL that gives it in bytes instead; for several instances behind one"
        " address",
    )
    max_memory_growth: Positive = Field(
        ..., description="largest growth of the memory, as a share of what it was once settled"
    )
    database: Name | None = Field(
        None, description="the [databases.NAME] whose connections are counted"
    )
    role: Text | None = Field(None, description="count the connections of this role only")
    max_connections_growth: Annotated[float, Field(ge=0)] = Field(
        1, description="largest growth of their number"
    )


class Generators(Model):
    """Load generators on other machines, which send the load as workers of locust."""

    bind: Text = Field(..., description="address of this machine that they connect to")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(5557, description="port of it")
    workers: Count = Field(..., description="how many processes of locust join, in all")
    wait_s: Positive = Field(60, description="seconds that they are awaited")

    @property
    def command(self) -> str:
        """What is run on each of those machines."""
        return f"locust -f - --worker --master-host {self.bind} --master-port {self.port}"


LoadTool = Literal["k6", "vegeta", "gatling", "wrk2"]


class Load(Model):
    """A realistic load with its service level objectives."""

    name: Name = Field(..., description="its name in the report")
    service: Name = Field(..., description="the [services.NAME] that the requests are sent to")
    requests: Annotated[list[LoadRequest], Field(min_length=1)] = Field(
        default=[], description="the mix of requests; they arrive at `rate`, whatever is answered"
    )
    rate: Positive | None = Field(
        None, description="requests a second; required with `requests`, use the declared peak"
    )
    locustfile: File | None = Field(
        None, description="instead of `requests`: a locustfile, whose users decide when they send"
    )
    users: Count | None = Field(None, description="users of the locustfile; required with it")
    summary: File | None = Field(
        None, description="instead of both: what another tool wrote about a load that it sent"
    )
    tool: LoadTool | None = Field(None, description="the tool that wrote it; required with it")
    max_age_h: Positive = Field(24, description="hours; an older summary is not judged")
    processes: Count = Field(1, description="processes of locust that share the load")
    generators: Generators | None = Field(
        None, description="instead of `processes`: generators on other machines"
    )
    duration_s: Positive = Field(30, description="seconds that are judged, after the warm-up")
    warm_up_s: Annotated[float, Field(ge=0)] = Field(
        5, description="seconds of the same load before, which are not judged"
    )
    timeout_s: Positive = Field(5, description="seconds until a request counts as failed")
    max_p95_ms: Positive = Field(..., description="milliseconds; slowest p95 of good answers")
    max_p99_ms: Positive | None = Field(None, description="milliseconds; slowest p99 of them")
    max_error_ratio: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="largest share of requests that may fail"
    )
    min_per_s: Positive | None = Field(
        None, description="fewest good answers a second, counted over the whole duration"
    )
    max_late_ms: Positive = Field(
        50, description="milliseconds; if 1 % is sent later than this, the generator was too slow"
    )
    capacity: Capacity | None = Field(
        None, description="find the rate up to which the objectives are kept"
    )
    soak: Soak | None = Field(None, description="a long time in which nothing may grow")
    spike: Spike | None = Field(None, description="a burst that the service must recover from")

    def fix_words(self, config: Any) -> Mapping[str, str]:
        """The address of its service."""
        return {"URL": config.services[self.service].url}

    @property
    def shares(self) -> int:
        """How many processes share it."""
        return self.generators.workers if self.generators else self.processes

    @property
    def fewest(self) -> int:
        """The least number of answers that can bound each of its objectives with 95 %."""
        quantiles = [0.95, 1 - self.max_error_ratio, *([0.99] if self.max_p99_ms else [])]
        return max(map(fewest_samples, quantiles))


class Baseline(Model):
    """Compare medians (of queries, endpoints, loads, COPYs, writes) with those of earlier runs."""

    records: File = Field(
        ...,
        description="folder of earlier records, as `reports/history`; the last five READY ones"
        " under the same conditions are the baseline",
    )
    max_ratio: Annotated[float, Field(gt=1)] = Field(
        1.2, description="slowest median, as a multiple of the baseline's"
    )
    min_ms: Positive = Field(5, description="milliseconds; a smaller difference is none")


class Pool(Request):
    """A request that needs a connection of a pool, sent more often at once than there are."""

    name: Name = Field(..., description="its name in the report")
    service: Name = Field(..., description="the [services.NAME] that the requests are sent to")
    dsn: Dsn = Field(..., description="a role that may run `hold_sql`")
    hold_sql: Text = Field(
        ...,
        description="statement that makes the request wait while its transaction lasts, as"
        " `lock table orders in access exclusive mode`; it is rolled back",
    )
    hold_s: Annotated[float, Field(gt=0, le=10)] = Field(
        0.5, description="seconds that it lasts; others wait, too"
    )
    requests: Annotated[int, Field(ge=2, le=1000)] = Field(
        ..., description="requests at once; more than the pools of all replicas have connections"
    )
    max_ms: Positive = Field(
        ..., description="milliseconds; slowest answer, the time of `hold_s` included"
    )


class Dependency(Model):
    """A dependency that becomes slow in a drill."""

    name: Name = Field(..., description="its name in the report")
    service: Name = Field(..., description="the [services.NAME] that depends on it")
    slow: Command = Field(..., description="the command that makes it slow, as a list")
    restore: Command = Field(..., description="the command that restores it, as a list")
    dependent: Annotated[list[Path_], Field(min_length=1)] = Field(
        ..., description="paths (GET, 200) that need it"
    )
    independent: Annotated[list[Path_], Field(min_length=1)] = Field(
        ..., description="paths (GET, 200) that do not"
    )
    requests: Annotated[int, Field(ge=1, le=500)] = Field(
        50, description="requests of each dependent path that wait for it at once"
    )
    fail_within_s: Positive = Field(
        ..., description="seconds; by then each of them is answered, with whatever status"
    )
    max_ms: Positive = Field(
        ..., description="milliseconds; slowest answer of an independent path meanwhile"
    )
    recover_within_s: Positive = Field(
        10, description="seconds after `restore` until the dependent paths answer 200 again"
    )

    def fix_words(self, config: Any) -> Mapping[str, str]:
        """The address that is requested."""
        return {"URL": f"{config.services[self.service].url}{self.dependent[0]}"}


class ColdStart(Request):
    """An instance that is started from nothing, and the first requests that it gets."""

    name: Name = Field(..., description="its name in the report")
    service: Name = Field(
        ..., description="the [services.NAME] that it is an instance of; its token is used"
    )
    url: Url = Field(..., description="address of this instance alone, without a path")
    start: Command = Field(
        ..., description="the command that starts it, as a list; it may return before it serves"
    )
    stop: Command = Field(
        ..., description="the command that ends it, as a list; run whatever happens"
    )
    ready: Path_ | None = Field(
        None,
        description="path that answers 200 once it may get requests; without one it gets them as"
        " soon as it accepts connections",
    )
    requests: Annotated[int, Field(ge=1, le=1000)] = Field(
        20, description="first requests to it, one after the other; each must be answered well"
    )
    max_start_s: Positive = Field(..., description="seconds from `start` to the first good answer")
    max_first_ms: Positive = Field(
        ..., description="milliseconds; slowest of the first good answers"
    )

    def fix_words(self, _: Any) -> Mapping[str, str]:
        """The address that is requested."""
        return {"URL": f"{self.url}{self.path}"}


class BackgroundJob(Model):
    """A background job, beside which what users do is measured."""

    name: Name = Field(..., description="its name in the report")
    command: Command | None = Field(None, description="the command that runs it, as a list")
    sql: Text | None = Field(None, description="instead of `command`: the statement that does it")
    dsn: Dsn | None = Field(None, description="a role that may run `sql`; required with it")
    queries: list[Name] = Field(
        default=[], description="names of [[performance.queries]] that are measured beside it"
    )
    endpoints: list[Name] = Field(
        default=[], description="names of [[performance.endpoints]] that are measured beside it"
    )
    database: Name | None = Field(
        None, description="the [databases.NAME] whose sessions must not wait for locks meanwhile"
    )
    rate: Positive = Field(
        20, description="executions a second of each query and endpoint, as they would arrive"
    )
    connections: Annotated[int, Field(ge=1, le=100)] = Field(
        4, description="connections of each; what finds none free waits, and that counts"
    )
    before_s: Positive = Field(5, description="seconds that they are measured before the job")
    timeout_s: Positive = Field(300, description="seconds that the job may take")
    max_ratio: Annotated[float, Field(gt=1)] = Field(
        ..., description="slowest median beside the job, as a multiple of that before it"
    )
    min_ms: Positive = Field(5, description="milliseconds; a smaller difference is none")
    max_blocked_s: Positive = Field(
        ..., description="seconds; longest wait of a session of `database` for a lock"
    )


class Performance(Model):
    """Performance baselines."""

    ingest: Annotated[list[Ingest], Field(min_length=1)] = Field(
        default=[], description="tables that store rows, as [[performance.ingest]]"
    )
    queries: Annotated[list[Query], Field(min_length=1)] = Field(
        default=[], description="queries with a promised latency, as [[performance.queries]]"
    )
    endpoints: Annotated[list[Endpoint], Field(min_length=1)] = Field(
        default=[], description="endpoints with a promised latency, as [[performance.endpoints]]"
    )
    baseline: Baseline | None = Field(None, description="compare with earlier runs")
    load: Annotated[list[Load], Field(min_length=1)] = Field(
        default=[], description="loads with objectives, as [[performance.load]]"
    )
    pools: Annotated[list[Pool], Field(min_length=1)] = Field(
        default=[], description="connection pools under pressure, as [[performance.pools]]"
    )
    dependencies: Annotated[list[Dependency], Field(min_length=1)] = Field(
        default=[],
        description="dependencies that a drill makes slow, as [[performance.dependencies]]",
    )
    cold_starts: Annotated[list[ColdStart], Field(min_length=1)] = Field(
        default=[],
        description="instances that a drill starts from nothing, as [[performance.cold_starts]]",
    )
    jobs: Annotated[list[BackgroundJob], Field(min_length=1)] = Field(
        default=[], description="jobs that run beside traffic, as [[performance.jobs]]"
    )


class Config(tables.Config):
    """The tables of performance."""

    performance: Performance = Field(Performance(), description="performance baselines")
