"""What a blackbox exporter found when it probed an address from outside, as Prometheus has it."""

import json
from collections.abc import Callable
from typing import Final

from readiness.config.base.watching import BlackboxProbe
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Sample
from readiness.lib.retry import until
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_DAY_S: Final = 86400
# Two of the usual intervals of 15 s.
_PATIENCE_S: Final = 30.0


def successes(prometheus: Prometheus, probe: BlackboxProbe) -> list[Measurement]:
    """Whether the probe of each exporter succeeded: 1 or 0.

    Waits up to half a minute for a first answer, or for a better one.

    Raises:
        NoData: no exporter probes that address.
    """
    found = _samples(prometheus, probe, "probe_success{%s}", lambda value: value == 1)
    return [
        Measurement(
            f"probe of {probe.instance} by {sample.labels.get('job', 'an exporter')}",
            int(sample.value),
            "status",
            f"{prometheus.url}: {sample}",
        )
        for sample in found
    ]


def certificate_days(prometheus: Prometheus, probe: BlackboxProbe) -> list[Measurement]:
    """Days until the first certificate of the chain ends; negative once it has.

    Raises:
        NoData: no exporter probes that address by TLS.
    """
    asked = "probe_ssl_earliest_cert_expiry{%s} - time()"
    found = _samples(prometheus, probe, asked, lambda _: True)
    return [
        Measurement(
            f"days until the certificate of {probe.instance} ends",
            sample.value / _DAY_S,
            "d",
            f"{prometheus.url}: {asked % _matcher(probe)}",
        )
        for sample in found
    ]


def _samples(
    prometheus: Prometheus, probe: BlackboxProbe, asked: str, good: Callable[[float], bool]
) -> tuple[Sample, ...]:
    asked %= _matcher(probe)
    found = until(
        lambda: prometheus.query(asked),
        lambda samples: bool(samples) and all(good(sample.value) for sample in samples),
        within_s=_PATIENCE_S,
    )
    if not found:
        raise NoData(
            f"no blackbox exporter probes {probe.instance}, or Prometheus does not scrape it",
            where=f"{prometheus.url}: {asked}",
            remedy="add the address to the targets of the blackbox job in prometheus.yml, or"
            f" correct `instance` in [prometheus.probes.{probe.name}]",
        )
    return found


def _matcher(probe: BlackboxProbe) -> str:
    return f"instance={json.dumps(probe.instance, ensure_ascii=False)}"
