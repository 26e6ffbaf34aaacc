"""Mistakes across tables: references to missing tables, duplicates, dates."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from readiness.areas.registry import areas
from readiness.config.base.mistakes import Mistake, Path, known, twice
from readiness.config.base.tables import Config, DatabaseMarker, HttpMarker
from readiness.config.values import leaves
from readiness.model.secrets import Secret
from readiness.model.suggest import did_you_mean


def cross_mistakes(config: Config, today: date) -> Iterator[Mistake]:
    """Mistakes that concern several tables."""
    yield from _secrets(config)
    yield from _marker(config)
    waivers = ((w.check, w.subject, w.error) for w in config.waiver)
    yield from twice(("waiver",), "check", waivers)
    yield from twice(("not_applicable",), "what", (d.what for d in config.not_applicable))
    yield from twice(("observe_only",), "what", (d.what for d in config.observe_only))
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
    gate = config.gate
    for index, waiver in enumerate(config.waiver):
        place: Path = ("waiver", index, "expires")
        yield from _too_late(place, waiver.expires, today, "waiver_max_days", gate.waiver_max_days)
    for index, observed in enumerate(config.observe_only):
        place = ("observe_only", index, "until")
        yield from _too_late(place, observed.until, today, "waiver_max_days", gate.waiver_max_days)
    for index, excused in enumerate(config.not_applicable):
        place = ("not_applicable", index, "review")
        yield from _too_late(place, excused.review, today, "review_max_days", gate.review_max_days)


def _too_late(place: Path, day: date, today: date, key: str, days: int) -> Iterator[Mistake]:
    try:
        last = today + timedelta(days=days)
    except OverflowError:
        last = date.max
    if day > last:
        yield Mistake(
            place,
            f"{day} is more than {days} days ahead, the limit of [gate] {key}",
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
