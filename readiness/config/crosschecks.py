"""What no single key can get wrong: names that lead nowhere, things said twice, dates."""

import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import chain

from readiness.areas.alerting.config import Alerting, Channel
from readiness.areas.alerting.engine_config import AlertEngine
from readiness.areas.deployment.config import Deployment
from readiness.areas.scaling.config import Live, Scaling
from readiness.config.leaves import leaves
from readiness.config.lines import Path
from readiness.config.models import Config, DatabaseMarker, HttpMarker, Query
from readiness.config.source import Mistake
from readiness.lib.suggest import did_you_mean
from readiness.model.secrets import Secret


def cross_mistakes(config: Config, today: date) -> Iterator[Mistake]:
    """Mistakes that show only when the tables are seen together."""
    yield from _secrets(config)
    yield from _names(config)
    yield from _repeated(config)
    yield from _dates(config, today)
    yield from _placeholders(config.performance.queries)
    yield from _signoffs(config)
    if config.deployment:
        yield from _releases(config.deployment)


def _secrets(config: Config) -> Iterator[Mistake]:
    for path, value in leaves(config):
        if isinstance(value, Secret) and not value.reveal().strip():
            yield Mistake(path, "the secret is empty", "set its environment variable")


def _names(config: Config) -> Iterator[Mistake]:
    match config.target.marker:
        case HttpMarker(service=name):
            yield from _known(("target", "marker", "service"), name, "services", config.services)
        case DatabaseMarker(database=name):
            yield from _known(("target", "marker", "database"), name, "databases", config.databases)
    for key, backup in config.backup.items():
        yield from _known(
            ("backup", key, "database"), backup.database, "databases", config.databases
        )
    for index, ingest in enumerate(config.performance.ingest):
        if ingest.write_path:
            yield from _known(
                ("performance", "ingest", index, "write_path", "service"),
                ingest.write_path.service,
                "services",
                config.services,
            )
    if config.alerting:
        yield from _channels(config.alerting)
    yield from _slow_alerts(config)
    if config.deployment and (old := config.deployment.compatibility):
        place = ("deployment", "compatibility", "database")
        yield from _known(place, old.database, "databases", config.databases)
    yield from _scaling(config)


def _scaling(config: Config) -> Iterator[Mistake]:
    """A workload needs objects to look at; what is told of its connections belongs together."""
    for key, scaling in config.scaling.items():
        path = ("scaling", key)
        if not (scaling.on_paper or scaling.live):
            yield Mistake(
                path,
                "there is nothing that tells of it",
                f"name its `manifests`, or declare [scaling.{key}.cluster] or [scaling.{key}.live]",
            )
        elif scaling.on_paper is not bool(scaling.workload):
            yield Mistake(
                (*path, "workload"),
                "`workload` says which of the objects is meant: it and they need each other",
                'write workload = "deployment/NAME", and name `manifests` or `cluster`',
            )
        if scaling.max_replicas <= scaling.min_replicas:
            yield Mistake(
                (*path, "max_replicas"),
                f"{scaling.max_replicas} is no more than min_replicas, {scaling.min_replicas}:"
                " nothing would scale",
                "give more",
            )
        if scaling.live:
            yield from _grows(scaling, scaling.live, path)
        if scaling.database:
            yield from _known((*path, "database"), scaling.database, "databases", config.databases)
        together = ("database", "database_role", "connections_per_replica")
        given = [name for name in together if getattr(scaling, name) is not None]
        if given and len(given) < len(together):
            missing = ", ".join(name for name in together if name not in given)
            yield Mistake((*path, given[0]), f"tells nothing without {missing}", f"add {missing}")


def _grows(scaling: Scaling, live: Live, path: Path) -> Iterator[Mistake]:
    """A load that needs no more than there always are shows nothing."""
    if not scaling.min_replicas < live.loaded_replicas <= scaling.max_replicas:
        yield Mistake(
            (*path, "live", "loaded_replicas"),
            f"{live.loaded_replicas} is not above min_replicas, {scaling.min_replicas}, or above"
            f" max_replicas, {scaling.max_replicas}",
            "let the load need more than the fewest, and no more than the most",
        )


def _slow_alerts(config: Config) -> Iterator[Mistake]:
    """Whoever is told of a slow statement must be there, and be readable."""
    channels = config.alerting.channels if config.alerting else {}
    for key, database in config.databases.items():
        if alert := database.statements.slow_alert:
            path = ("databases", key, "statements", "slow_alert", "channel")
            yield from _known(path, alert.channel, "alerting.channels", channels)
            if alert.channel in channels:
                yield from _unreadable(path, alert.channel, channels)


def _unreadable(path: Path, name: str, channels: Mapping[str, Channel]) -> Iterator[Mistake]:
    if channels[name].inbox is None:
        yield Mistake(
            path,
            f"[alerting.channels.{name}] has no inbox: nobody can look whether it arrived",
            f"declare [alerting.channels.{name}.inbox]",
        )


def _channels(alerting: Alerting) -> Iterator[Mistake]:
    for key, policy in alerting.severities.items():
        path = ("alerting", "severities", key, "channels")
        for name in chain.from_iterable(policy.channels):
            yield from _known(path, name, "alerting.channels", alerting.channels)
    found: dict[Path, str] = {}
    if alerting.dead_man:
        found["alerting", "dead_man", "channel"] = alerting.dead_man.channel
        if alerting.dead_man.calls:
            found["alerting", "dead_man", "calls"] = alerting.dead_man.calls
    if alerting.probe and alerting.probe.drill:
        found["alerting", "probe", "drill", "beside"] = alerting.probe.drill.beside
    for place, name in found.items():
        yield from _known(place, name, "alerting.channels", alerting.channels)
    if alerting.engine:
        yield from _engine(alerting.engine, alerting.channels)


def _engine(engine: AlertEngine, channels: Mapping[str, Channel]) -> Iterator[Mistake]:
    """What it tells must be there, and be readable: nothing else is known of its channels."""
    place: Path = ("alerting", "engine")
    names = [((*place, "channels", number), name) for number, name in enumerate(engine.channels)]
    if engine.escalation:
        names.append(((*place, "escalation", "second"), engine.escalation.second))
    for path, name in names:
        yield from _known(path, name, "alerting.channels", channels)
        if name in channels:
            yield from _unreadable(path, name, channels)
    yield from _twice((*place, "channels"), "", engine.channels)


def _known(path: Path, name: str, table: str, known: Collection[str]) -> Iterator[Mistake]:
    if name not in known:
        hint = did_you_mean(name, known)
        message = f"there is no [{table}.{name}]"
        yield Mistake(path, f"{message}. {hint}" if hint else message, f"declare [{table}.{name}]")


def _repeated(config: Config) -> Iterator[Mistake]:
    performance = config.performance
    yield from _twice(("performance", "ingest"), "name", (i.name for i in performance.ingest))
    yield from _twice(("performance", "queries"), "name", (q.name for q in performance.queries))
    yield from _twice(("waiver",), "check", ((w.check, w.subject) for w in config.waiver))
    required = config.signoffs.required if config.signoffs else []
    yield from _twice(("signoffs", "required"), "", required)


def _twice(path: Path, key: str, identities: Iterable[Hashable]) -> Iterator[Mistake]:
    seen: set[Hashable] = set()
    for index, identity in enumerate(identities):
        if identity in seen:
            words = identity if isinstance(identity, tuple) else (identity,)
            told = " and ".join(repr(word) for word in words if word)
            yield Mistake(
                (*path, index, key) if key else (*path, index),
                f"{told} stands here a second time",
                "keep one of them",
            )
        seen.add(identity)


def _dates(config: Config, today: date) -> Iterator[Mistake]:
    days = config.gate.waiver_max_days
    try:
        last = today + timedelta(days=days)
    except OverflowError:
        last = date.max
    for index, waiver in enumerate(config.waiver):
        if waiver.expires > last:
            yield Mistake(
                ("waiver", index, "expires"),
                f"expires on {waiver.expires}, further ahead than the {days} days"
                " of [gate] waiver_max_days",
                f"choose {last} or earlier, and renew it when it is still needed",
            )


def _placeholders(queries: Iterable[Query]) -> Iterator[Mistake]:
    for index, query in enumerate(queries):
        # In quotes it is text: like '%server'.
        unquoted = re.sub(r"'[^']*'", "", query.sql).replace("%%", "")
        wanted = len(re.findall(r"%[sbt]", unquoted))
        for number, values in enumerate(query.params):
            if len(values) != wanted:
                yield Mistake(
                    ("performance", "queries", index, "params"),
                    f"set {number + 1} has {len(values)} values, the statement {wanted} of '%s'",
                    "give one value for each '%s'",
                )


def _releases(deployment: Deployment) -> Iterator[Mistake]:
    """A change from a release to itself proves nothing, and one to nobody knows what less."""
    if deployment.release == "unknown":
        yield Mistake(
            ("deployment", "release"),
            "nobody says which release is judged",
            "write [target] release, or [deployment] release",
        )
    named = {"previous": deployment.previous, "bad_release": deployment.bad_release}
    for key, release in named.items():
        if release == deployment.release:
            yield Mistake(
                ("deployment", key),
                f"is {release!r}, and so is the release that is judged: a change between them"
                " would be none",
                "name another release",
            )


def _signoffs(config: Config) -> Iterator[Mistake]:
    required = config.signoffs.required if config.signoffs else []
    yield from signoff_mistakes([(s.item, s.release) for s in config.signoff], required)
    if config.signoffs and not config.target.deployer.strip():
        yield Mistake(
            ("target", "deployer"),
            "is needed where sign-offs are: without it nobody can tell whether the deployer signed",
            "name who deploys this release",
        )


def signoff_mistakes(
    signed: Sequence[tuple[str, str]], required: Sequence[str]
) -> Iterator[Mistake]:
    """Sign-offs that stand twice, or that nothing asks for.

    Args:
        signed: item and release of each sign-off, in the order of the file.
        required: the items of `[signoffs] required`.
    """
    yield from _twice(("signoff",), "item", signed)
    for index, (item, _) in enumerate(signed):
        if item not in required:
            yield Mistake(
                ("signoff", index, "item"),
                f"nothing requires a sign-off of {item!r}. {did_you_mean(item, required)}".rstrip(
                    ". "
                ),
                "name it in [signoffs] required",
            )
