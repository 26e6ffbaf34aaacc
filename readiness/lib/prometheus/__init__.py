"""A client of Prometheus: its targets, rules and alerts, and queries.

It uses the HTTP API v1 of Prometheus 2 and 3 and of compatible servers.
"""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import Field, TypeAdapter

from readiness.config.base.watching import Prometheus as Settings
from readiness.lib import api
from readiness.lib.durations import prometheus_seconds
from readiness.lib.http import Answer, Session
from readiness.lib.prometheus import exposition as metrics
from readiness.lib.prometheus.replies import (
    Alert,
    Labels,
    Points,
    Rule,
    RuleGroup,
    RuntimeInfo,
    Sample,
    Target,
)
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import NoData, TookTooLong

_NAME: Final = "Prometheus"
_OK: Final = 200
_YES: Final = {"true", True}
_T = TypeVar("_T")


_PART: Final = "readiness_part"
_MOST_PARTS: Final = 40
_MOST_TEXT: Final = 60_000  # characters of one query


class _Envelope(api.Reply):
    status: Literal["success", "error"]
    data: Any = None
    error: str = ""
    error_type: str = Field("", alias="errorType")
    warnings: tuple[str, ...] = ()


class _Targets(api.Reply):
    active: tuple[Target, ...] = Field(alias="activeTargets")


class _Rules(api.Reply):
    groups: tuple[RuleGroup, ...]


class _Alerts(api.Reply):
    alerts: tuple[Alert, ...]


class _Peer(api.Reply):
    url: str


class _Peers(api.Reply):
    active: tuple[_Peer, ...] = Field(alias="activeAlertmanagers")


class _Declared(api.Reply):
    type: str


class _Loaded(api.Reply):
    yaml: str


class _Result(api.Reply):
    kind: Literal["vector", "scalar", "matrix", "string"] = Field(alias="resultType")
    result: Any


class _Series(api.Reply):
    metric: Labels = Field(default={})
    value: tuple[float, str] | None = None
    values: tuple[tuple[float, str], ...] = ()


_ENVELOPE: Final = TypeAdapter(_Envelope)
_TARGETS: Final = TypeAdapter(_Targets)
_RULES: Final = TypeAdapter(_Rules)
_ALERTS: Final = TypeAdapter(_Alerts)
_PEERS: Final = TypeAdapter(_Peers)
_RUNTIME: Final = TypeAdapter(RuntimeInfo)
_LOADED: Final = TypeAdapter(_Loaded)
_STRINGS: Final = TypeAdapter(dict[str, str])
_RESULT: Final = TypeAdapter(_Result)
_VECTOR: Final = TypeAdapter(tuple[_Series, ...])
_SCALAR: Final = TypeAdapter(tuple[float, str])
_METADATA: Final = TypeAdapter(dict[str, tuple[_Declared, ...]])
_NAMES: Final = TypeAdapter(tuple[str, ...])
_LABEL_SETS: Final = TypeAdapter(tuple[Labels, ...])


class Refused(NoData):
    """Prometheus cannot evaluate the query."""


class Prometheus:
    """One Prometheus, a context manager.

    Every method raises `CouldNotMeasure`: `Unreachable`, `TookTooLong`, `NotPermitted` if it
    requires a login, `NoData` if something else answers or the request is refused.

    Attributes:
        settings: its table.
        url: its address.
        given_up: scrape jobs whose targets were awaited in vain.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.given_up: set[str] = set()
        self.url = settings.url
        self._session = Session(
            timeout_s=settings.timeout_s, bearer=settings.bearer, verify=settings.verify_tls
        )

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)

    def patience_s(self, needed_s: float) -> float:
        """Seconds to wait for what its intervals decide: `wait_max_s` at most."""
        return min(needed_s, self.settings.wait_max_s)

    def targets(self) -> tuple[Target, ...]:
        """The active targets."""
        return self._read(_TARGETS, "/api/v1/targets", {"state": "active"}).active

    def rules(self) -> tuple[RuleGroup, ...]:
        """The loaded rules, in their groups."""
        return self._read(_RULES, "/api/v1/rules").groups

    def alerting_rules(self) -> tuple[Rule, ...]:
        """The loaded alerting rules.

        Raises:
            NoData: there are none.
        """
        rules = tuple(r for g in self.rules() for r in g.rules if r.type == "alerting")
        if not rules:
            raise NoData(
                "no alerting rule is loaded",
                where=f"{self.url}/api/v1/rules",
                remedy="name the rule files in `rule_files` of prometheus.yml, and reload",
            )
        return rules

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts that are pending or firing now."""
        return self._read(_ALERTS, "/api/v1/alerts").alerts

    def alertmanagers(self) -> tuple[str, ...]:
        """The Alertmanagers that it sends to, as `http://am:9093`, also those that are down."""
        peers = self._read(_PEERS, "/api/v1/alertmanagers").active
        return tuple(peer.url.partition("/api/")[0] for peer in peers)

    def external_labels(self) -> Labels:
        """The labels that it adds to each alert that does not have them.

        Raises:
            NoData: it does not show its configuration.
        """
        document, answer = self._configuration()
        part = document.get("global")
        labels = part.get("external_labels") if isinstance(part, dict) else None
        return api.shaped(_STRINGS, labels or {}, answer, _NAME)

    def honoring_jobs(self) -> set[str]:
        """The scrape jobs that keep the labels `job` and `instance` of what they scrape.

        Raises:
            NoData: it does not show its configuration.
        """
        document, _ = self._configuration()
        jobs = document.get("scrape_configs")
        found = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
        return {str(j.get("job_name")) for j in found if j.get("honor_labels") in _YES}

    def _configuration(self) -> tuple[dict[str, Any], Answer]:
        found, answer = self._ask("/api/v1/status/config")
        text = api.shaped(_LOADED, found, answer, _NAME).yaml
        try:
            document = read_one(text, Scalars.TEXTS)
        except BrokenYaml as error:
            raise NoData(f"its configuration cannot be read: {error}", where=answer.url) from None
        return document if isinstance(document, dict) else {}, answer

    def metric_types(self) -> dict[str, str]:
        """The type of each metric family, as `counter`, if all targets declare the same."""
        found = self._read(_METADATA, "/api/v1/metadata")
        kinds = {name: {entry.type for entry in entries} for name, entries in found.items()}
        return {name: next(iter(one)) for name, one in kinds.items() if len(one) == 1}

    def runtime(self) -> RuntimeInfo:
        """How it runs."""
        return self._read(_RUNTIME, "/api/v1/status/runtimeinfo")

    def flags(self) -> dict[str, str]:
        """Its flags; most that were not given have their default."""
        return self._read(_STRINGS, "/api/v1/status/flags")

    def version(self) -> str:
        """Its version, as `2.42.0`."""
        return self._read(_STRINGS, "/api/v1/status/buildinfo").get("version", "unknown")

    def lookback_s(self) -> float:
        """Seconds after which the last sample of a series no longer counts; 5 min by default."""
        return prometheus_seconds(self.flags().get("query.lookback-delta", "5m"))

    def query(self, expression: str, at: float | None = None) -> tuple[Sample, ...]:
        """The instant vector of a PromQL expression; a scalar becomes one sample without labels.

        Args:
            expression: PromQL.
            at: Unix time; default: now, by its own clock.

        Raises:
            NoData: the expression is refused, or gives neither a vector nor a scalar.
        """
        parameters = {"query": expression} | ({"time": f"{at:.3f}"} if at is not None else {})
        found, answer = self._ask("/api/v1/query", parameters, post=True)
        result = api.shaped(_RESULT, found, answer, _NAME)
        if result.kind == "scalar":
            when, value = api.shaped(_SCALAR, result.result, answer, _NAME)
            return (Sample({}, float(value), when),)
        if result.kind != "vector":
            raise NoData(f"the query gives a {result.kind}, not a vector", where=expression)
        series = api.shaped(_VECTOR, result.result, answer, _NAME)
        return tuple(Sample(s.metric, float(s.value[1]), s.value[0]) for s in series if s.value)

    def query_all(self, expressions: Iterable[str]) -> dict[str, tuple[Sample, ...]]:
        """The instant vectors of many expressions, 40 in one query.

        An expression that is refused, or is no vector, has no entry. No result is larger than the
        answers of the expressions together: ask for `count(...)` where the number is enough.
        """
        found: dict[str, tuple[Sample, ...]] = {}
        batch: list[str] = []
        for expression in dict.fromkeys(expressions):
            if len(batch) == _MOST_PARTS or sum(map(len, batch)) + len(expression) > _MOST_TEXT:
                found |= self._query_parts(batch)
                batch = []
            batch.append(expression)
        return found | self._query_parts(batch)

    def _query_parts(self, batch: Sequence[str]) -> dict[str, tuple[Sample, ...]]:
        """One refused or slow expression ends the whole query: the halves are asked then."""
        if not batch:
            return {}
        parts = (
            f'label_replace({text}, "{_PART}", "{number}", "", "")'
            for number, text in enumerate(batch)
        )
        try:
            samples = self.query(" or ".join(parts))
        except (Refused, TookTooLong) as problem:
            middle = len(batch) // 2
            if not middle and isinstance(problem, TookTooLong):
                raise
            if not middle:
                return {}
            return self._query_parts(batch[:middle]) | self._query_parts(batch[middle:])
        found: dict[str, list[Sample]] = {text: [] for text in batch}
        for sample in samples:
            labels = {name: v for name, v in sample.labels.items() if name != _PART}
            found[batch[int(sample.labels[_PART])]].append(Sample(labels, sample.value, sample.at))
        return {text: tuple(of_it) for text, of_it in found.items()}

    def now(self) -> float:
        """Unix time by its own clock, which its samples and scrapes have too."""
        return self.query("vector(1)")[0].at

    def number(self, expression: str) -> float:
        """The single number that an expression gives.

        Raises:
            NoData: it gives none, several, or NaN.
        """
        found = self.query(expression)
        if len(found) != 1 or math.isnan(found[0].value):
            got = "no series" if not found else "NaN" if len(found) == 1 else f"{len(found)} series"
            raise NoData(
                f"the query gives {got} where one number is needed",
                where=f"{self.url}: {expression}",
                remedy="try it in Prometheus's own page; a new system may not have enough history",
            )
        return found[0].value

    def samples(self, selector: str) -> tuple[Points, ...]:
        """The samples of a selector with a range, such as `up[5m]`, as they were scraped.

        Raises:
            NoData: the selector is refused, or has no range.
        """
        found, answer = self._ask("/api/v1/query", {"query": selector}, post=True)
        result = api.shaped(_RESULT, found, answer, _NAME)
        if result.kind != "matrix":
            raise NoData(f"the query gives a {result.kind}, not a matrix", where=selector)
        series = api.shaped(_VECTOR, result.result, answer, _NAME)
        return tuple(Points(s.metric, tuple((t, float(v)) for t, v in s.values)) for s in series)

    def query_range(
        self, expression: str, start: float, end: float, step_s: float
    ) -> tuple[Points, ...]:
        """The values of an expression from `start` to `end` (Unix time); at most 11,000 steps."""
        found, answer = self._ask(
            "/api/v1/query_range",
            {
                "query": expression,
                "start": f"{start:.3f}",
                "end": f"{end:.3f}",
                "step": f"{step_s:g}",
            },
            post=True,
        )
        result = api.shaped(_RESULT, found, answer, _NAME)
        series = api.shaped(_VECTOR, result.result, answer, _NAME)
        return tuple(Points(s.metric, tuple((t, float(v)) for t, v in s.values)) for s in series)

    def series(self, selectors: Sequence[str], start: float, end: float) -> tuple[Labels, ...]:
        """The label sets of the series that match any of the selectors within a time."""
        asked = [("match[]", selector) for selector in selectors]
        asked += [("start", f"{start:.3f}"), ("end", f"{end:.3f}")]
        return self._read(_LABEL_SETS, "/api/v1/series", asked, post=True)

    def label_values(
        self, label: str, selectors: Sequence[str], start: float, end: float
    ) -> tuple[str, ...]:
        """The values of a label, in the series that match any of the selectors."""
        asked = [("match[]", selector) for selector in selectors]
        asked += [("start", f"{start:.3f}"), ("end", f"{end:.3f}")]
        return self._read(_NAMES, f"/api/v1/label/{quote(label)}/values", asked)

    def label_names(self) -> tuple[str, ...]:
        """The names of all labels."""
        return self._read(_NAMES, "/api/v1/labels")

    def clock_offset_s(self) -> tuple[float, float]:
        """How far its clock is ahead of ours, and the uncertainty, both in seconds.

        The answer has milliseconds: the uncertainty is half of the round trip.
        """
        before = time.time()
        theirs = self.number("time()")
        after = time.time()
        return theirs - (before + after) / 2, (after - before) / 2

    def metrics(self) -> metrics.Exposition:
        """Its own metrics; a proxy may hide them.

        Raises:
            NoData: it does not answer with metrics.
        """
        answer = self._session.get(f"{self.url}/metrics", max_bytes=api.MAX_BYTES)
        exposition = metrics.parse(answer)
        if exposition.status != _OK or not exposition.samples:
            raise NoData(
                f"answered {exposition.status} and no metrics",
                where=exposition.url,
                remedy="let this machine read Prometheus's own /metrics, through its proxy too",
            )
        return exposition

    def _read(
        self,
        kind: TypeAdapter[_T],
        path: str,
        parameters: api.Parameters | None = None,
        *,
        post: bool = False,
    ) -> _T:
        found, answer = self._ask(path, parameters, post=post)
        return api.shaped(kind, found, answer, _NAME)

    def _ask(
        self, path: str, parameters: api.Parameters | None = None, *, post: bool = False
    ) -> tuple[object, Answer]:
        """The `data` of an answer. With `post`, the query may be of any length."""
        if post:
            form = api.address("", "", parameters).removeprefix("?").encode()
            answer = self._session.post(
                f"{self.url}{path}", form, content_type=api.FORM, max_bytes=api.MAX_BYTES
            )
        else:
            answer = self._session.get(
                api.address(self.url, path, parameters), max_bytes=api.MAX_BYTES
            )
        envelope = api.shaped(_ENVELOPE, api.document(answer, _NAME), answer, _NAME)
        if envelope.status == "success":
            return envelope.data, answer
        if envelope.error_type in {"timeout", "canceled"}:
            raise TookTooLong(clean(envelope.error, 200), where=answer.url)
        refused = envelope.error_type in {"bad_data", "execution"}
        raise (Refused if refused else NoData)(
            f"the query was refused ({envelope.error_type}): {clean(envelope.error, 300)}",
            where=answer.url,
        )
