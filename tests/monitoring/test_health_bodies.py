"""Bodies of health endpoints, as the frameworks of the field answer them."""

import pytest

from readiness.areas.monitoring.probes.health_bodies import WELL, is_page, verdict
from readiness.lib.http import Answer


def answer(body: str, content_type: str = "") -> Answer:
    return Answer("http://t/health", 200, content_type, "", "", "", body.encode(), 1.0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # Spring Boot Actuator 2 and 3, 2.0, and 1
        ('{"status":"DOWN"}', "status is DOWN"),
        ('{"status":"OUT_OF_SERVICE","groups":["liveness"]}', "status is OUT_OF_SERVICE"),
        (
            '{"status":"UP","components":{"db":{"status":"UP","components":{"a":{"status":"DOWN"}}}}}',
            "components.db.components.a.status is DOWN",
        ),
        ('{"status":"UP","details":{"db":{"status":"DOWN"}}}', "details.db.status is DOWN"),
        ('{"status":"UP","mailSender":{"status":"DOWN"}}', "mailSender.status is DOWN"),
        # MicroProfile Health
        ('{"status":"UP","checks":[{"name":"db","status":"DOWN"}]}', "checks.db.status is DOWN"),
        # the draft health+json
        ('{"status":"fail","output":"x"}', "status is fail"),
        (
            '{"status":"pass","checks":{"db:time":[{"status":"fail"}]}}',
            "checks.db:time.0.status is",
        ),
        # ASP.NET Core
        ("Unhealthy", "the body says 'Unhealthy'"),
        ('{"status":"Unhealthy","entries":{}}', "status is Unhealthy"),
        ('{"status":"Healthy","results":{"db":{"status":"Unhealthy"}}}', "results.db.status is"),
        # Dropwizard
        ('{"deadlocks":{"healthy":true},"db":{"healthy":false}}', "db.healthy is false"),
        ('{"orders-store":{"healthy":false,"message":"x"}}', "orders-store.healthy is false"),
        # terminus
        ('{"status":"error","info":{},"error":{"db":{"status":"down"}}}', "status is error"),
        ('{"status":"ok","error":{"db":{"status":"down"}}}', "error.db.status is down"),
        # Kubernetes
        ("[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed", "checks.etcd is"),
        # Kibana, Elasticsearch, etcd, Consul
        ('{"status":{"overall":{"level":"unavailable"}}}', "status is unavailable"),
        ('{"cluster_name":"c","status":"red"}', "status is red"),
        ('{"health":"false"}', "health is false"),
        # without a name
        ('{"ok":false}', "ok is false"),
        ('{"healthy": false, "version": "1"}', "healthy is false"),
        ('{"status":false}', "status is false"),
        ('{"status":"ok","database":"disconnected"}', "database is disconnected"),
        ('{"status":"ok","db":false}', "db is false"),
        ('{"status":"ok","checks":{"redis":false}}', "checks.redis is false"),
        ('{"status":"ok","services":{"mail":"unreachable"}}', "services.mail is unreachable"),
        ('{"status":503,"message":"no database"}', "status is 503"),
        ('{"error":"connection refused"}', "error is connection refused"),
        ('"DOWN"', "the body says"),
        ('{"status":"ERROR: no database"}', "status is ERROR: no database"),
        ('{"status":{"code":"DOWN"}}', "status is DOWN"),
        ('{"result":"error"}', "result is error"),
        ('{"code":503,"message":"x"}', "code is 503"),
        ('{"errors":["no database"]}', "errors has 1 entries"),
        ('{"message":"Service Unavailable"}', "message is Service Unavailable"),
        ('{"healthy":"no"}', "healthy is no"),
        ('{"status":"maintenance"}', "status is maintenance"),
        ('{"database":{"connected":false}}', "database.connected is false"),
        ('{"postgres":"error: connection refused"}', "postgres is error: connection refused"),
        ('{"status":"ok","db_status":"down"}', "db_status is down"),
        ('{"status":"ok","database_connected":false}', "database_connected is false"),
        ("health check failed", "the body says"),
        ("503 Service Unavailable", "the body says"),
        ("false", "the body is false"),
        ('[{"name":"db","status":"down"}]', "db.status is down"),
        ("DOWN", "the body says"),
        ("ERROR: cannot connect to the database", "the body says"),
        ("not ready", "the body says"),
        ("status: DOWN", "status is DOWN"),
        ("app: ok\ndb: down\n", "db is down"),
    ],
)
def test_body_that_says_it_is_not_well(body: str, expected: str) -> None:
    assert verdict(answer(body)).startswith(expected)


@pytest.mark.parametrize(
    "body",
    [
        *("", "ok", "OK\n", "Healthy", "pong", "1", "true", "null", "[]", "{}", "alive and well"),
        *(
            "errors: 0",
            "failed: 0",
            "Error: none",
            "download service ready",
            "failover is possible",
        ),
        '{"status":"UP"}',
        '{"status":"UNKNOWN"}',
        '{"status":"starting"}',
        '{"status":"Degraded"}',
        '{"status":"warn"}',
        '{"status":"pass","checks":{"disk":[{"status":"warn"}]}}',
        '{"status":"UP","components":{"diskSpace":{"status":"UP","details":{"exists":true}}}}',
        '{"status":"UP","components":{"db":{"status":"UP","details":{"error":"none"}}}}',
        '{"status":"ok","info":{"db":{"status":"up"}},"error":{},"details":{"db":{"status":"up"}}}',
        '{"deadlocks":{"healthy":true}}',
        '{"status":"green"}',
        '{"status":"yellow","number_of_nodes":1}',
        '{"status":200}',
        '{"status":0,"errors":0,"failed_jobs":3}',
        '{"status":"ok","last_error":"timeout","log_level":"error","trend":"down"}',
        '{"status":"ok","last_backup":{"status":"failed"}}',
        '{"status":"ok","results":[{"job":"a","status":"failed"}]}',
        '{"status":"ok","error":"0 of 3"}',
        '{"error":null,"data":1}',
        '{"error":"","errors":[]}',
        '{"status":"ok","errors":["old"],"job_status":"failed","cache_connected":false}',
        '{"code":200,"message":"fail2ban is up"}',
        "0 health checks failed",
        '{"status":"ok","services":{"smtp":false}}',
        '{"status":"ok","cache":false,"debug":false,"maintenance":false}',
        '{"status":"ok","checks":{"mail":{"status":"down","critical":false}}}',
        '{"database":{"latency_ms":3},"version":"down-to-earth"}',
        '{"state":"running","role":"replica","patroni":{"version":"3"}}',
        '{"name":"error","message":"fail2ban is up"}',
        "# HELP up x\nup 0\n",
        "[+]ping ok\n[+]etcd ok\nhealthz check passed",
        "[" * 5000,
        '{"checks":' * 40 + "1" + "}" * 40,
    ],
)
def test_body_that_says_nothing_wrong(body: str) -> None:
    assert verdict(answer(body)) == WELL


@pytest.mark.parametrize("body", ["<!doctype html>", "\n <HTML lang=en>", "\ufeff<html>"])
def test_page_is_found_by_its_beginning(body: str) -> None:
    assert is_page(answer(body, "application/json"))
    assert not is_page(answer("<status>ok</status>", "application/xml"))
