"""The checks of scraping, of Prometheus and of what it knows from outside, on a real one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.monitoring.probes import blackbox, scraping
from readiness.config.base.watching import BlackboxProbe, Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.servers.ports import free_port
from tests.support import real_prometheus
from tests.support.monitored_service import TEXT_FORMAT, misses, suite
from tests.support.real_prometheus import job
from tests.support.small_servers import Reply, SmallServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.contract

EXPOSED = """
# TYPE good_total counter
good_total 7
reached 1
failed 0
thing_exporter_build_info 1
process_cpu_seconds_total 3
probe_success{instance="http://shop.example.com"} 1
probe_success{instance="https://shop.example.com"} 0
probe_ssl_earliest_cert_expiry{instance="https://shop.example.com"} 1000
"""
SITE = "https://shop.example.com"
TARGET = Config.model_validate({"target": {"name": "t"}})


@pytest.fixture(scope="module")
def place() -> str:
    """Where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, place: str) -> Iterator[Settings]:
    """A Prometheus with a job that is well, one with a target that is down, one of both kinds."""
    with SmallServer({"/metrics": Reply(EXPOSED, content_type=TEXT_FORMAT)}) as server:
        good = server.url.removeprefix("http://")
        jobs = {"good": [good], "down": [place], "mixed": [good, place]}
        folder: Path = tmp_path_factory.mktemp("prometheus")
        with real_prometheus.running(folder, jobs) as url:
            settings = real_prometheus.settings(url)
            with Prometheus(settings) as client:
                assert eventually(lambda: scraped(client) == 4, 60)
            yield settings


def scraped(client: Prometheus) -> int:
    return len([target for target in client.targets() if target.health != "unknown"])


@pytest.fixture
def watcher(watched: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prometheus]:
    monkeypatch.setattr(blackbox, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(scraping, "_LONGEST_WAIT_S", 1.0)
    with Prometheus(watched) as client:
        yield client


def check(name: str, watcher: Prometheus, **subject: object) -> str:
    evidence = Evidence()
    module, _, function = name.partition(".")
    getattr(suite(f"monitoring.test_{module}"), f"test_{function}")(
        **subject, watcher=watcher, evidence=evidence
    )
    return misses(evidence)


OF_A_JOB = ["jobs", "interval", "duration", "stability"]


@pytest.mark.parametrize("name", [*(f"scrape_{name}" for name in OF_A_JOB), "cardinality"])
def test_a_job_that_is_well_passes(watcher: Prometheus, name: str) -> None:
    assert check(f"scraping.{name}", watcher, job=job("good")) == ""


def test_a_target_that_is_down_is_named_with_its_reason(watcher: Prometheus, place: str) -> None:
    found = check("scraping.scrape_jobs", watcher, job=job("mixed"))

    assert "targets of mixed that are down 1, must be == 0" in found
    assert f"{place}: " in found
    assert "connection refused" in found


@pytest.mark.parametrize(
    ("name", "expected"),
    [("absent", "targets of absent 0, must be >= 1: Prometheus has no such job")],
)
def test_a_job_that_is_not_there_fails(watcher: Prometheus, name: str, expected: str) -> None:
    assert eventually(lambda: expected in check("scraping.scrape_jobs", watcher, job=job(name)), 20)


def test_too_few_targets_fail(watcher: Prometheus) -> None:
    assert "targets of good 1, must be >= 2" in check(
        "scraping.scrape_jobs", watcher, job=job("good", min_targets=2)
    )


@pytest.mark.parametrize("name", ["scrape_interval", "scrape_duration", "scrape_stability"])
def test_of_a_job_without_targets_nothing_can_be_told(watcher: Prometheus, name: str) -> None:
    with pytest.raises(NoData, match="the job absent has no target"):
        check(f"scraping.{name}", watcher, job=job("absent"))


@pytest.mark.parametrize(
    ("name", "subject", "keys"),
    [
        ("cardinality", "job", {}),
        ("required_metrics", "measured_job", {"required_metrics": ["good_total"]}),
        ("exporter_reaches_target", "exporter_job", {"must_be_one": ["reached"]}),
    ],
)
def test_of_a_target_that_is_down_nothing_can_be_told(
    watcher: Prometheus, name: str, subject: str, keys: dict[str, object]
) -> None:
    with pytest.raises(NoData, match=r"no target of the job down is up: .*refused"):
        check(f"scraping.{name}", watcher, **{subject: job("down", **keys)})


def test_another_interval_and_one_beyond_the_look_back_fail(watcher: Prometheus) -> None:
    agreed = job("good", interval_s=5)
    assert "1 s, must be == 5" in check("scraping.scrape_interval", watcher, job=agreed)

    watcher.lookback_s = lambda: 1.5  # type: ignore[method-assign]
    found = check("scraping.scrape_interval", watcher, job=job("good"))
    assert "must be <= 0.75: the look-back is 1.5 s" in found


def test_failed_scrapes_within_the_window_fail(watcher: Prometheus, place: str) -> None:
    found = check("scraping.scrape_stability", watcher, job=job("mixed"))

    assert f"scrapes of {place} that succeeded 0 ratio, must be >= 0.99" in found


def test_a_window_with_too_few_scrapes_is_an_error(watched: Settings) -> None:
    short = watched.model_copy(update={"window_s": 1.0})
    with Prometheus(short) as client, pytest.raises(NoData, match="fewer than 3 times"):
        check("scraping.scrape_stability", client, job=job("good"))


def test_more_samples_than_allowed_fail(watched: Settings) -> None:
    with Prometheus(watched.model_copy(update={"samples_max": 5})) as client:
        assert "must be <= 5" in check("scraping.cardinality", client, job=job("good"))


def test_a_slow_scrape_fails(watched: Settings) -> None:
    with Prometheus(watched.model_copy(update={"scrape_time_max_share": 1e-9})) as client:
        assert "the time-out is 1s" in check("scraping.scrape_duration", client, job=job("good"))


def test_a_required_metric_is_there_or_not(watcher: Prometheus) -> None:
    there = job("good", required_metrics=["good_total", 'good_total{job="good"}'])
    assert check("scraping.required_metrics", watcher, measured_job=there) == ""
    gone = job("good", required_metrics=["good_totel"])
    found = check("scraping.required_metrics", watcher, measured_job=gone)
    assert "series of good_totel 0, must be >= 1" in found


@pytest.mark.parametrize("text", ["rate(good_total[5m])", "good_total > 0", "good_total{", "1"])
def test_what_computes_something_is_no_selector(watcher: Prometheus, text: str) -> None:
    asked = job("good", required_metrics=[text])
    with pytest.raises(CouldNotMeasure, match="is no selector"):
        check("scraping.required_metrics", watcher, measured_job=asked)


def reaches(watcher: Prometheus, **keys: list[str]) -> str:
    return check("scraping.exporter_reaches_target", watcher, exporter_job=job("good", **keys))


def test_what_an_exporter_says_of_its_target_is_judged(watcher: Prometheus) -> None:
    assert reaches(watcher, must_be_one=["reached"], must_be_zero=["failed"]) == ""
    assert "reached" in reaches(watcher, must_be_zero=["reached"])
    assert "failed" in reaches(watcher, must_be_one=["failed"])


def test_an_exporter_that_says_nothing_of_its_target_is_an_error(watcher: Prometheus) -> None:
    with pytest.raises(NoData, match=r"no series pg_up of 127.0.0.1:\d+, although .* is up"):
        reaches(watcher, must_be_one=["reached", "pg_up"])


def overhead(watched: Settings, share: float, *jobs: Job) -> str:
    changes = {"overhead_max_share": share, "jobs": {each.name: each for each in jobs}}
    settings = watched.model_copy(update=changes)
    with Prometheus(settings) as client:
        return check("overhead.scrape_overhead", client, prometheus=settings)


def test_what_being_scraped_costs_is_judged(watched: Settings) -> None:
    assert overhead(watched, 1.0, job("good")) == ""
    assert "the median scrape of the job good" in overhead(watched, 1e-9, job("good"))


@pytest.mark.usefixtures("watcher")  # its patience
def test_an_exporter_that_hides_its_cpu_and_no_job_at_all_are_errors(watched: Settings) -> None:
    with pytest.raises(NoData, match="no scrape job is declared"):
        overhead(watched, 1.0)
    with pytest.raises(NoData, match="does not tell the CPU time"):
        overhead(watched, 1.0, job("down", must_be_one=["reached"]))


def test_prometheus_itself_is_judged(watched: Settings, watcher: Prometheus) -> None:
    for name in ("config", "retention"):
        assert check(f"prometheus.{'prometheus_' * (name == 'config')}{name}", watcher,
                     prometheus=watched) == ""  # fmt: skip
    long = watched.model_copy(update={"retention_min_h": 1000.0})
    found = check("prometheus.retention", watcher, prometheus=long)
    assert "history that is kept 360 h, must be >= 1000" in found


def clock(watcher: Prometheus, watched: Settings) -> str:
    return check("prometheus.clock_skew", watcher, prometheus=watched, target=TARGET)


def test_clocks_are_compared(watched: Settings, watcher: Prometheus) -> None:
    assert clock(watcher, watched) == ""
    watcher.clock_offset_s = lambda: (-37.0, 0.1)  # type: ignore[method-assign]
    assert "it is 37.0 s behind" in clock(watcher, watched)
    watcher.clock_offset_s = lambda: (0.0, 9.0)  # type: ignore[method-assign]
    with pytest.raises(CouldNotMeasure, match=r"only known to 9\.0 s"):
        clock(watcher, watched)


def probe(instance: str) -> BlackboxProbe:
    return BlackboxProbe.model_validate({"name": "shop", "instance": instance})


@pytest.fixture
def honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prometheus]:
    """A Prometheus that keeps the label `instance` of what it scrapes, as for a blackbox."""
    monkeypatch.setattr(blackbox, "_PATIENCE_S", 0.5)
    with SmallServer({"/metrics": Reply(EXPOSED, content_type=TEXT_FORMAT)}) as server:
        places = {"blackbox": [server.url.removeprefix("http://")]}
        with (
            real_prometheus.running(tmp_path, places, honor_labels=True) as url,
            Prometheus(real_prometheus.settings(url)) as client,
        ):
            assert eventually(lambda: bool(client.query("probe_success")), 60)
            yield client


def test_what_a_blackbox_exporter_found_is_judged(honoured: Prometheus) -> None:
    good, bad = probe("http://shop.example.com"), probe(SITE)
    assert check("outside.blackbox_probes", honoured, probe=good) == ""
    assert "probe of https://shop.example.com" in check(
        "outside.blackbox_probes", honoured, probe=bad
    )
    found = check("outside.certificate_expiry", honoured, https_probe=bad)
    assert "must be >= 14" in found
    for name, subject in (("blackbox_probes", "probe"), ("certificate_expiry", "https_probe")):
        with pytest.raises(NoData, match="no blackbox exporter asks https://other"):
            check(f"outside.{name}", honoured, **{subject: probe("https://other")})


Ask = Callable[[Prometheus, Settings], str]


def asks(name: str, kind: str, **keys: Any) -> tuple[str, Ask]:
    def ask(watcher: Prometheus, settings: Settings) -> str:
        subjects: dict[str, object] = {
            "prometheus": settings,
            "probe": probe(SITE),
            "https_probe": probe(SITE),
        }
        subject = {kind: subjects.get(kind, job("good", **keys))}
        return check(name, watcher, **subject, **({"target": TARGET} if "clock" in name else {}))

    return name, ask


EVERY = [
    *(asks(f"scraping.scrape_{name}", "job") for name in OF_A_JOB),
    asks("scraping.cardinality", "job"),
    asks("scraping.required_metrics", "measured_job", required_metrics=["up"]),
    asks("scraping.exporter_reaches_target", "exporter_job", must_be_one=["up"]),
    asks("overhead.scrape_overhead", "prometheus"),
    asks("prometheus.prometheus_config", "prometheus"),
    asks("prometheus.retention", "prometheus"),
    asks("prometheus.clock_skew", "prometheus"),
    asks("outside.blackbox_probes", "probe"),
    asks("outside.certificate_expiry", "https_probe"),
]
REFUSAL = '{"status":"error","errorType":"internal","error":"the disk is full"}'
INSTEAD = {
    "a login": (Reply("{}", 401), "credentials are missing"),
    "a redirect": (Reply(status=302, headers={"Location": "/login"}), "leads to /login"),
    "a page": (Reply("<html>", 200, "text/html"), "instead of JSON"),
    "an error": (Reply(REFUSAL, 500), "the disk is full"),
    "another version": (Reply('{"status":"success","data":{"new":1}}'), "unexpected answer of"),
    "another program": (Reply('{"version":"1"}'), "unexpected answer of"),
}


@pytest.mark.parametrize(("name", "ask"), EVERY, ids=[name for name, _ in EVERY])
@pytest.mark.parametrize("instead", INSTEAD)
def test_whatever_else_answers_no_check_passes(name: str, ask: Ask, instead: str) -> None:
    reply, expected = INSTEAD[instead]
    with SmallServer({}) as server:
        server.otherwise = reply
        settings = real_prometheus.settings(server.url)
        settings = settings.model_copy(update={"jobs": {"good": job("good")}})
        with Prometheus(settings) as client, pytest.raises(CouldNotMeasure, match=expected):
            ask(client, settings)


@pytest.mark.parametrize(("name", "ask"), EVERY, ids=[name for name, _ in EVERY])
def test_where_nobody_answers_no_check_passes(name: str, ask: Ask, place: str) -> None:
    settings = real_prometheus.settings(f"http://{place}")
    settings = settings.model_copy(update={"jobs": {"good": job("good")}})
    with Prometheus(settings) as client, pytest.raises(CouldNotMeasure, match="refused"):
        ask(client, settings)
