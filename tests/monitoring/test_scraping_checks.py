"""The checks of scraping, of Prometheus itself and of probes from outside, on a real one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.monitoring.probes import outside, scraping
from readiness.config.base.watching import BlackboxProbe, Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement
from readiness.servers.processes import free_port
from tests.support import real_prometheus
from tests.support.monitored_service import TEXT_FORMAT, missed, misses, suite
from tests.support.processes import eventually
from tests.support.real_prometheus import job
from tests.support.small_servers import Reply, SmallServer

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
    """An address where nobody listens."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, place: str) -> Iterator[Settings]:
    """A Prometheus with a job that is up, one that is down, and one with a target of each kind."""
    page = Reply(EXPOSED, content_type=TEXT_FORMAT)
    with SmallServer({"/metrics": page, "/metrics?n=1": page}) as server:
        good = server.url.removeprefix("http://")
        jobs = {"good": [good], "down": [place], "mixed": [good, place]}
        folder: Path = tmp_path_factory.mktemp("prometheus")
        more = {"mixed": {"params": {"n": ["1"]}}}
        with real_prometheus.running(folder, jobs, more=more) as url:
            settings = real_prometheus.settings(url)
            with Prometheus(settings) as client:
                assert eventually(lambda: scraped(client) == 4, 60)
            yield settings


def scraped(client: Prometheus) -> int:
    return len([target for target in client.targets() if target.health != "unknown"])


@pytest.fixture
def watcher(watched: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prometheus]:
    monkeypatch.setattr(outside, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(scraping, "_patience_s", lambda *_: 1.0)
    with Prometheus(watched) as client:
        yield client


def judged(name: str, watcher: Prometheus, **subject: object) -> Evidence:
    evidence = Evidence()
    module, _, function = name.partition(".")
    getattr(suite(f"monitoring.test_{module}"), f"test_{function}")(
        **subject, watcher=watcher, evidence=evidence
    )
    return evidence


def check(name: str, watcher: Prometheus, **subject: object) -> str:
    return misses(judged(name, watcher, **subject))


def scrape(watcher: Prometheus, of: Job) -> str:
    return check("metrics.scrape_jobs", watcher, job=of)


def test_healthy_job_passes(watcher: Prometheus) -> None:
    keys = {"required_metrics": ["good_total"], "must_be_one": ["reached"]}
    evidence = judged("metrics.scrape_jobs", watcher, job=job("good", **keys))

    assert misses(evidence) == ""
    assert {m.key for m in evidence.measurements} == {
        *("targets", "up", "last-scrape", "success-share", "interval", "look-back"),
        *("exporter", "metric", "metric-age", "collisions", "once"),
    }


def test_target_that_is_down_is_named_with_its_reason(watcher: Prometheus, place: str) -> None:
    evidence = judged("metrics.scrape_jobs", watcher, job=job("mixed"))
    found = misses(evidence)

    assert missed(evidence) == {"up", "success-share"}
    assert "1 of 2 targets of the job mixed are down" in found
    assert evidence.commands == [f"curl -si 'http://{place}/metrics?n=1'"]
    assert f"{place}: " in found
    assert "connection refused" in found
    assert f"scrapes of {place} that succeeded: 0 %; at least 99 % required" in found


def test_a_target_that_is_down_is_awaited_once_in_a_check(
    watcher: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited: list[float] = []

    def spy(*args: Any, within_s: float) -> Any:
        awaited.append(within_s)
        return until(*args, within_s=within_s)

    monkeypatch.setattr(scraping, "until", spy)
    for _ in range(3):
        assert scraping.targets_of(watcher, job("down")).down
    assert scraping.targets_of(watcher, job("good")).well
    assert awaited == [1.0, 0.0, 0.0, 1.0]


def test_unknown_job_fails(watcher: Prometheus) -> None:
    expected = (
        "targets of the job absent: 0; at least 1 required (`.min_targets`, default):"
        " Prometheus has no such job"
    )
    assert eventually(lambda: scrape(watcher, job("absent")) == expected, 20)


def test_too_few_targets_fail(watcher: Prometheus) -> None:
    found = scrape(watcher, job("good", min_targets=2))
    assert "targets of the job good: 1; at least 2 required (`.min_targets`)" in found


@pytest.mark.parametrize("key", ["required_metrics", "must_be_one"])
def test_metrics_of_a_target_that_is_down_are_an_error(watcher: Prometheus, key: str) -> None:
    evidence = judged("metrics.scrape_jobs", watcher, job=job("down", **{key: ["reached"]}))

    assert missed(evidence) == {"up", "success-share"}
    (error,) = evidence.lost
    assert "no target of the job down is up: " in error.message
    assert "refused" in error.message


def test_other_interval_or_one_beyond_the_look_back_fails(watcher: Prometheus) -> None:
    assert "1 s; 5 s required (`.interval_s`)" in scrape(watcher, job("good", interval_s=5))

    watcher.lookback_s = lambda: 1.5  # type: ignore[method-assign]
    found = scrape(watcher, job("good"))
    assert "1 s; limit 0.75 s: half of the look-back of 1.5 s" in found


def test_old_last_scrape_fails(watcher: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    now = watcher.now
    monkeypatch.setattr(watcher, "now", lambda: now() + 60)
    evidence = judged("metrics.scrape_jobs", watcher, job=job("good"))

    assert missed(evidence) == {"last-scrape"}
    assert "; limit 3 s: two intervals of 1s and one timeout of 1s" in misses(evidence)


@pytest.mark.parametrize(
    ("good", "of", "window_s", "undecided"),
    [
        (29, 30, 3600.0, True),  # one failure after a start proves nothing about 99 %
        (3, 4, 3600.0, True),
        (2, 4, 3600.0, False),
        (20, 30, 3600.0, False),
        (0, 3, 3600.0, False),
        (29, 30, 30.0, False),  # the whole window
    ],
)
def test_short_history_decides_only_what_it_can(
    watched: Settings,
    monkeypatch: pytest.MonkeyPatch,
    good: int,
    of: int,
    window_s: float,
    undecided: bool,
) -> None:
    share = Measurement("scrapes of a that succeeded", good / of, "ratio", "q", of)
    monkeypatch.setattr(scraping, "availability", lambda *_: [share])
    with Prometheus(watched.model_copy(update={"window_s": window_s})) as client:
        evidence = judged("metrics.scrape_jobs", client, job=job("good"))

    assert missed(evidence) == (set() if undecided else {"success-share"})
    assert ("too few scrapes to decide on 99%" in str(evidence.lost)) is undecided


def test_window_with_too_few_scrapes_is_an_error(watched: Settings) -> None:
    short = watched.model_copy(update={"window_s": 1.0})
    with Prometheus(short) as client, pytest.raises(NoData, match="fewer than 3 times"):
        scrape(client, job("good"))


def test_missing_required_metric_fails(watcher: Prometheus) -> None:
    there = job("good", required_metrics=["good_total", 'good_total{job="good"}'])
    assert scrape(watcher, there) == ""
    found = scrape(watcher, job("good", required_metrics=["good_totel"]))
    assert found.startswith("1 of 1 targets that are up do not expose good_totel")


SHOPS = "# TYPE orders_total counter\n" + "".join(
    f'orders_total{{shop="{n}"}} {n}\n' for n in range(9)
)
RELABELED = {
    "dropped": [{"action": "labeldrop", "regex": "shop"}],
    "moved": [{"target_label": "instance", "replacement": "shop"}],
    "fewer": [{"source_labels": ["shop"], "regex": "[1-4]", "action": "drop"}],
}


@pytest.fixture(scope="module")
def relabeled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with jobs that store what they scrape in different ways."""
    pushed = 'pushed_total{job="batch",instance="b"} 1\n'
    stamped = "old_total 1 1500000000000\nnew_total 2\n"
    pages = {"/metrics": SHOPS, "/one": "lag 1\n", "/pushed": pushed, "/stamped": stamped}
    pages["/churned"] = SHOPS
    # As an exporter of a cloud's metrics does, which are ten minutes old.
    pages["/late"] = f"now_total 1\nlate_total 1 {int(1000 * (time.time() - 600))}\n"
    routes = {path: Reply(body, content_type=TEXT_FORMAT) for path, body in pages.items()}
    with SmallServer(routes) as server:
        place = server.url.removeprefix("http://")
        other = place.replace("127.0.0.1", "localhost")
        more: dict[str, dict[str, object]] = {
            name: {"metric_relabel_configs": rules} for name, rules in RELABELED.items()
        }
        for number, name in enumerate(more):  # each another address, or they are scraped twice
            more[name]["params"] = {"n": [str(number)]}
        path = {"source_labels": ["__address__"], "target_label": "__metrics_path__"}
        more["replicas"] = {"relabel_configs": [
            {**path, "regex": "127.*", "replacement": "/one"},
            {**path, "regex": "local.*", "replacement": "/stamped"},
        ]}  # fmt: skip
        more["honored"] = {"honor_labels": True, "metrics_path": "/pushed"}
        more["again"] = {"metrics_path": "/one"}
        more["churned"] = {"metrics_path": "/churned"}
        more["late"] = {"metrics_path": "/late"}
        jobs = {name: [place] for name in (*more, "plain")} | {"replicas": [place, other]}
        server.routes.update({f"/metrics?n={n}": routes["/metrics"] for n in range(3)})
        with (
            real_prometheus.running(tmp_path_factory.mktemp("relabeled"), jobs, more=more) as url,
            Prometheus(real_prometheus.settings(url)) as client,
        ):
            assert eventually(lambda: scraped(client) == len(jobs) + 1, 60)
            # Eight series have ended, and what is left is exposed twice.
            server.routes["/churned"] = Reply(2 * "orders_total 1\n", content_type=TEXT_FORMAT)
            left = 'scrape_samples_scraped{job="churned"} == 2'
            assert eventually(lambda: bool(client.query(left)), 60)
            yield client


@pytest.mark.parametrize(
    ("changes", "keys", "expected"),
    [
        ({"name": "plain", "required_metrics": ["orders_total"]}, set(), ""),
        ({"name": "moved"}, set(), ""),
        ({"name": "fewer"}, set(), ""),
        ({"name": "honored", "required_metrics": ["pushed_total"]}, set(), ""),
        ({"name": "dropped"}, {"collisions"}, "that are in no series: 8: relabeling"),
        ({"name": "replicas", "required_metrics": ["lag"]}, {"metric", "collisions", "once"},
         "1 of 2 targets that are up do not expose lag"),
        ({"name": "again"}, {"once"}, "also as replicas: http://127.0.0.1"),
        ({"name": "late"}, set(), ""),
        ({"name": "churned"}, {"collisions"}, "that are in no series: 1: relabeling"),
    ],
)  # fmt: skip
def test_what_is_scraped_is_stored_once_by_each_target(
    relabeled: Prometheus,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    keys: set[str],
    expected: str,
) -> None:
    monkeypatch.setattr(scraping, "_patience_s", lambda *_: 1.0)
    name = str(changes.pop("name"))
    evidence = judged("metrics.scrape_jobs", relabeled, job=job(name, **changes))

    assert missed(evidence) == keys
    assert expected in "; ".join(evidence.failures)


def test_metric_of_one_instance_may_be_missing_elsewhere(relabeled: Prometheus) -> None:
    target = next(t for t in relabeled.targets() if t.pool == "replicas" and "/one" in t.url)
    selector = f'lag{{instance="{target.instance}"}}'
    evidence = judged(
        "metrics.scrape_jobs", relabeled, job=job("replicas", required_metrics=[selector])
    )
    assert "metric" not in missed(evidence)


def test_old_required_metric_fails(watcher: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Measurement("age of good_total", 40.0, "s", "q")
    exposed = scraping.exposed
    monkeypatch.setattr(scraping, "exposed", lambda *asked: replace(exposed(*asked), age=old))
    found = scrape(watcher, job("good", required_metrics=["good_total"]))

    assert found.startswith("age of good_total: 40 s; limit 3 s (`.required_metrics`)")


@pytest.mark.parametrize("text", ["rate(good_total[5m])", "good_total > 0", "good_total{", "1"])
def test_expression_is_not_a_selector(watcher: Prometheus, text: str) -> None:
    with pytest.raises(CouldNotMeasure, match="is not a valid selector"):
        scrape(watcher, job("good", required_metrics=[text]))


def reaches(watcher: Prometheus, **keys: list[str]) -> str:
    return scrape(watcher, job("good", **keys))


def test_metrics_of_an_exporter_about_its_target_are_judged(watcher: Prometheus) -> None:
    assert reaches(watcher, must_be_one=["reached"], must_be_zero=["failed"]) == ""
    assert "1; 0 required" not in reaches(watcher, must_be_zero=["reached"])
    assert "(`.must_be_zero`): the exporter is up" in reaches(watcher, must_be_zero=["reached"])
    assert "0; 1 required (`.must_be_one`)" in reaches(watcher, must_be_one=["failed"])


def test_exporter_without_metrics_about_its_target_is_an_error(watcher: Prometheus) -> None:
    with pytest.raises(NoData, match=r"no series pg_up of 127.0.0.1:\d+, although .* is up"):
        reaches(watcher, must_be_one=["reached", "pg_up"])


def capacity(watched: Settings, *jobs: Job, **changes: object) -> Evidence:
    updates = {"jobs": {each.name: each for each in jobs}, "overhead_max_share": 1.0} | changes
    settings = watched.model_copy(update=updates)
    with Prometheus(settings) as client:
        return judged("prometheus.prometheus_capacity", client, prometheus=settings)


def test_prometheus_within_its_limits_passes(watched: Settings) -> None:
    evidence = capacity(watched, job("good"))

    assert misses(evidence) == ""
    assert {m.key for m in evidence.measurements} == {
        *("scrape-duration", "scrape-time", "samples", "exporter-cpu", "retention"),
    }


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"samples_max": 5}, "samples", "; limit 5 (`.samples_max`)"),
        ({"scrape_time_max_share": 1e-9}, "scrape-duration", ": the timeout is 1s"),
        ({"overhead_max_share": 1e-9}, "scrape-time", "the median scrape of the job good"),
        (
            {"retention_min_h": 1000.0},
            "retention",
            "history that is kept: 360 h; at least 1,000 h required (`.retention_min_h`)",
        ),
    ],
)
def test_exceeded_capacity_limit_fails(
    watched: Settings, changes: dict[str, object], key: str, expected: str
) -> None:
    evidence = capacity(watched, job("good"), **changes)

    assert missed(evidence) == {key}
    assert expected in misses(evidence)


@pytest.mark.usefixtures("watcher")  # its patience
def test_exporter_without_cpu_time_or_no_job_is_an_error(watched: Settings) -> None:
    (none,) = capacity(watched).lost
    assert none.message == "no scrape job is declared"
    hidden = capacity(watched, job("down", must_be_one=["reached"])).lost
    assert [error for error in hidden if "reports no CPU time" in error.message]


@pytest.mark.usefixtures("watcher")  # its patience
def test_capacity_of_a_job_without_targets_is_an_error(watched: Settings) -> None:
    evidence = capacity(watched, job("absent"), job("good"), samples_max=5)

    assert missed(evidence) == {"samples"}
    assert "the job absent has no target" in [error.message for error in evidence.lost]


def itself(watcher: Prometheus, watched: Settings) -> str:
    return check("prometheus.prometheus", watcher, prometheus=watched, target=TARGET)


def test_clock_skew_fails_and_unknown_skew_is_an_error(
    watched: Settings, watcher: Prometheus
) -> None:
    assert itself(watcher, watched) == ""
    watcher.clock_offset_s = lambda: (-37.0, 0.1)  # type: ignore[method-assign]
    assert " is 37.0 s behind; limit 2 s (`.clock_skew_max_s`" in itself(watcher, watched)
    watcher.clock_offset_s = lambda: (0.0, 9.0)  # type: ignore[method-assign]
    with pytest.raises(CouldNotMeasure, match=r"known to 9\.0 s only"):
        itself(watcher, watched)


def probe(instance: str) -> BlackboxProbe:
    return BlackboxProbe.model_validate({"name": "shop", "instance": instance})


@pytest.fixture
def honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prometheus]:
    """A Prometheus that keeps the label `instance` of what it scrapes, as for a blackbox."""
    monkeypatch.setattr(outside, "_PATIENCE_S", 0.5)
    with SmallServer({"/metrics": Reply(EXPOSED, content_type=TEXT_FORMAT)}) as server:
        places = {"blackbox": [server.url.removeprefix("http://")]}
        with (
            real_prometheus.running(tmp_path, places, honor_labels=True) as url,
            Prometheus(real_prometheus.settings(url)) as client,
        ):
            assert eventually(lambda: bool(client.query("probe_success")), 60)
            yield client


def test_blackbox_probe_and_certificate_are_judged(honoured: Prometheus) -> None:
    assert check("outside.blackbox_probes", honoured, probe=probe("http://shop.example.com")) == ""
    evidence = judged("outside.blackbox_probes", honoured, probe=probe(SITE))
    assert missed(evidence) == {"success", "certificate"}
    assert f"The probe of {SITE} by blackbox failed" in misses(evidence)
    assert "d; at least 14 d required (`.certificate_min_days`, default)" in misses(evidence)
    there = r"no blackbox exporter probes https://other.*instance http://shop.example.com \(job"
    with pytest.raises(NoData, match=there):
        check("outside.blackbox_probes", honoured, probe=probe("https://other"))


Ask = Callable[[Prometheus, Settings], str]


def ask_of_a_job(watcher: Prometheus, _: Settings) -> str:
    return scrape(watcher, job("good", required_metrics=["up"], must_be_one=["up"]))


def ask_of_a_probe(watcher: Prometheus, _: Settings) -> str:
    return check("outside.blackbox_probes", watcher, probe=probe(SITE))


def ask_of_the_capacity(watcher: Prometheus, settings: Settings) -> str:
    return check("prometheus.prometheus_capacity", watcher, prometheus=settings)


EVERY: list[Ask] = [ask_of_a_job, ask_of_a_probe, ask_of_the_capacity, itself]
REFUSAL = '{"status":"error","errorType":"internal","error":"the disk is full"}'
INSTEAD = {
    "a login": (Reply("{}", 401), "credentials are missing"),
    "a redirect": (Reply(status=302, headers={"Location": "/login"}), "redirects to /login"),
    "a page": (Reply("<html>", 200, "text/html"), "instead of JSON"),
    "an error": (Reply(REFUSAL, 500), "the disk is full"),
    "another version": (Reply('{"status":"success","data":{"new":1}}'), "unexpected answer of"),
    "another program": (Reply('{"version":"1"}'), "unexpected answer of"),
}


@pytest.mark.parametrize("ask", EVERY)
@pytest.mark.parametrize("instead", INSTEAD)
def test_no_check_passes_on_an_unexpected_answer(ask: Ask, instead: str) -> None:
    reply, expected = INSTEAD[instead]
    with SmallServer({}) as server:
        server.otherwise = reply
        settings = real_prometheus.settings(server.url)
        settings = settings.model_copy(update={"jobs": {"good": job("good")}})
        with Prometheus(settings) as client, pytest.raises(CouldNotMeasure, match=expected):
            ask(client, settings)


@pytest.mark.parametrize("ask", EVERY)
def test_no_check_passes_without_an_answer(ask: Ask, place: str) -> None:
    settings = real_prometheus.settings(f"http://{place}")
    settings = settings.model_copy(update={"jobs": {"good": job("good")}})
    with Prometheus(settings) as client, pytest.raises(CouldNotMeasure, match="refused"):
        ask(client, settings)
