"""Mistakes across tables: references to missing tables, duplicates, dates."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from readiness.areas.registry import areas
from readiness.config.base.mistakes import Mistake, known, twice
from readiness.config.base.tables import Config, DatabaseMarker, HttpMarker
from readiness.config.values import leaves
from readiness.model.secrets import Secret
from readiness.model.suggest import did_you_mean


def cross_mistakes(config: Config, today: date) -> Iterator[Mistake]:
    """Mistakes that concern several tables."""
    yield from _secrets(config)
    yield from _marker(config)
    yield from twice(("waiver",), "check", ((w.check, w.subject) for w in config.waiver))
    yield from _dates(config, today)
    yield from _signoffs(config)
    for area in areas():
        yield from area.mistakes(config, today)


def _secrets(config: Config) -> Iterator[Mistake]:
    for path, value in leaves(config):
        if isinstance(value, Secret) and not value.reveal().strip():
            yield Mistake(path, "the secret is empty", "set its environment variable")


def _marker(config: Config) -> Iterator[Mistake]:
    match config.target.marker:
        case HttpMarker(service=name):
            yield from known(("target", "marker", "service"), name, "services", config.services)
        case DatabaseMarker(database=name):
            yield from known(("target", "marker", "database"), name, "databases", config.databases)


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
                f"expires on {waiver.expires}, more than {days} days ahead, the limit"
                " of [gate] waiver_max_days",
                f"use {last} or earlier, and renew it if it is still needed",
            )


def _signoffs(config: Config) -> Iterator[Mistake]:
    required = config.signoffs.required if config.signoffs else []
    yield from twice(("signoffs", "required"), "", required)
    yield from signoff_mistakes([(s.item, s.release) for s in config.signoff], required)
    if config.signoffs and not config.target.deployer.strip():
        yield Mistake(
            ("target", "deployer"),
            "is required with sign-offs, so that the deployer cannot sign",
            "name who deploys this release",
        )


def signoff_mistakes(
    signed: Sequence[tuple[str, str]], required: Sequence[str]
) -> Iterator[Mistake]:
    """Report sign-offs that are duplicates or not required.

    Args:
        signed: item and release of each sign-off, in the order of the file.
        required: the items of `[signoffs] required`.
    """
    yield from twice(("signoff",), "item", signed)
    for index, (item, _) in enumerate(signed):
        if item not in required:
            yield Mistake(
                ("signoff", index, "item"),
                f"no sign-off of {item!r} is required. {did_you_mean(item, required)}".rstrip(". "),
                "add it to [signoffs] required",
            )
