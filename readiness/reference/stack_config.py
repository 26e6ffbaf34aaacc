"""The configurations of Prometheus, Alertmanager and the blackbox exporter.

They are written as JSON, a subset of the YAML that these programs read, and edited by the levers.
"""

from collections.abc import Mapping
from typing import Final

from readiness.areas.alerting.reference.levers import SLACK_URL_FILE
from readiness.areas.monitoring.reference.watched import INTERVAL_S
from readiness.servers.files import Document

PROBE_LABEL: Final = "readiness_probe"


def prometheus(targets: Mapping[str, int], probed: list[str], alertmanagers: list[int]) -> Document:
    """Prometheus's configuration.

    Args:
        targets: port by job.
        probed: addresses that the job `blackbox` probes.
        alertmanagers: ports of all peers.
    """
    jobs = [
        {"job_name": job, "static_configs": _at(port)}
        for job, port in targets.items()
        if job != "blackbox"
    ]
    if "blackbox" in targets:
        jobs.append(_blackbox_job(probed, targets["blackbox"]))
    every = f"{INTERVAL_S}s"
    return {
        "global": {
            "scrape_interval": every,
            "scrape_timeout": every,
            "evaluation_interval": every,
        },
        "rule_files": ["alerts.yml"],
        "scrape_configs": jobs,
        "alerting": {
            "alertmanagers": [{"static_configs": _at(*alertmanagers)}] if alertmanagers else []
        },
    }


def _at(*ports: int) -> list[dict[str, list[str]]]:
    return [{"targets": [f"127.0.0.1:{port}" for port in ports]}]


def _blackbox_job(probed: list[str], port: int) -> Document:
    return {
        "job_name": "blackbox",
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "static_configs": [{"targets": probed}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"127.0.0.1:{port}"},
        ],
    }


def blackbox() -> Document:
    """The blackbox exporter's configuration: only 200 succeeds, and a redirect to a login fails."""
    http = {
        "valid_status_codes": [200],
        "follow_redirects": False,
        "preferred_ip_protocol": "ip4",
        "tls_config": {"insecure_skip_verify": True},
    }
    return {"modules": {"http_2xx": {"prober": "http", "timeout": "900ms", "http": http}}}


def alertmanager(inbox: str, smtp_port: int, listener: int) -> Document:
    """Alertmanager's configuration, the same for both peers.

    Args:
        inbox: the address of our replacement for the vendors.
        smtp_port: where mail goes.
        listener: the port on which checks observe retries.
    """
    return {
        "global": {
            "smtp_smarthost": f"127.0.0.1:{smtp_port}",
            "smtp_from": "alertmanager@example.com",
            "smtp_require_tls": False,
            "resolve_timeout": "1m",
        },
        "route": _routes(),
        "receivers": _receivers(inbox) + _probe_receivers(inbox, listener),
        "inhibit_rules": [
            {
                "source_matchers": ['severity="critical"', f'{PROBE_LABEL}=""'],
                "target_matchers": ['severity="warning"'],
                "equal": ["alertname", "instance"],
            }
        ],
    }


def _routes() -> Document:
    # Longer than the second peer waits for the first one (--cluster.peer-timeout): otherwise it
    # would notify again of alerts that are already resolved.
    at_once = {"group_wait": "0s", "group_interval": "2s"}
    return {
        "receiver": "email",
        "group_by": ["alertname"],
        "group_wait": "1s",
        "group_interval": "2s",
        "repeat_interval": "1h",
        "routes": [
            # Before all others, and without `continue`: a synthetic alert must not page anyone.
            {
                "matchers": [f'{PROBE_LABEL}=~"drill-.+"'],
                "receiver": "readiness-drill",
                "group_by": [PROBE_LABEL],
                "group_wait": "1s",  # so that a storm is one message
                "group_interval": "2s",
            },
            {
                "matchers": [f'{PROBE_LABEL}!=""'],
                "receiver": "readiness-probe",
                "group_by": ["..."],
                **at_once,
            },
            {
                "matchers": ['alertname="Watchdog"'],
                "receiver": "watchdog",
                "group_interval": "2s",
                "repeat_interval": "1s",
            },
            {"matchers": ['severity="critical"'], "receiver": "pagerduty", "continue": True},
            {"matchers": ['severity="critical"'], "receiver": "sms", "continue": True},
            {"matchers": ['severity=~"critical|warning"'], "receiver": "slack", "continue": True},
            {"matchers": [], "receiver": "email"},
        ],
    }


def _receivers(inbox: str) -> list[Document]:
    return [
        {"name": "email", "email_configs": [_email("on-call@example.com")]},
        {"name": "slack", "slack_configs": [_slack("#alerts")]},
        {"name": "sms", "webhook_configs": [_webhook(f"{inbox}/sms")]},
        {"name": "pagerduty", "pagerduty_configs": [_pagerduty(inbox)]},
        {"name": "watchdog", "webhook_configs": [_webhook(f"{inbox}/watchdog")]},
    ]


def _probe_receivers(inbox: str, listener: int) -> list[Document]:
    """The same kinds of integration, with addresses that do not wake anyone."""
    return [
        {
            "name": "readiness-probe",
            "email_configs": [_email("readiness@example.com")],
            "slack_configs": [_slack("#readiness")],
            "webhook_configs": [_webhook(f"{inbox}/sms")],
            "pagerduty_configs": [_pagerduty(inbox)],
        },
        {
            "name": "readiness-drill",
            "webhook_configs": [_webhook(f"http://127.0.0.1:{listener}/")],
            "email_configs": [_email("readiness@example.com")],
        },
    ]


def _email(to: str) -> Document:
    return {"to": to, "send_resolved": True}


def _slack(channel: str) -> Document:
    return {
        "api_url_file": SLACK_URL_FILE,
        "channel": channel,
        "send_resolved": True,
        "text": "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}",
    }


def _webhook(url: str) -> Document:
    return {"url": url, "send_resolved": True}


def _pagerduty(inbox: str) -> Document:
    return {"url": f"{inbox}/pagerduty", "routing_key": "reference", "send_resolved": True}
