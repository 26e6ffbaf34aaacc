"""The environment of each application: complete, meant for where it runs, and as declared."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.configuration import environment
from readiness.areas.configuration.config import App
from readiness.areas.configuration.environment import Place
from readiness.areas.configuration.probes import drift
from readiness.areas.configuration.probes.declared import needed
from readiness.fixtures.configuration import DeclaredOf, RunningOf
from readiness.lib.text import worst
from readiness.model.errors import NoData


@check(
    "configuration.environment",
    title="Every variable that the application needs is set and not empty",
    failure_title="The application lacks variables that it needs, or has empty ones",
    each="application",
    severity="blocker",
    core=True,
    judgements=("set", "not-empty", "interpolation", "syntax"),
    why="""A variable that is missing stops the new release at its start, or worse: compose puts an
    empty text in its place and only warns, and a check against an empty secret lets everybody
    in.""",
    fix="""set, not-empty: set it where the application gets its environment, and start it again:
      docker compose config;  kubectl set env deployment/NAME --list
      Known to the deployment alone: `given` in [configuration.applications.NAME.declared].
    interpolation: set the variable in `.env`, or let compose refuse to start without it: ${NAME:?}.
    syntax: the message names the line; who reads the file is `env_format`.""",
)
def test_environment(
    application: App,
    declared_of: DeclaredOf,
    running_of: RunningOf,
    evidence: Evidence,
) -> None:
    """Judged where it runs, if that can be seen, else where it is declared."""
    names = needed(application)
    with evidence.attempt():
        if place := declared_of(application):
            _judge_file(place, evidence)
    with evidence.attempt():
        for place in _places(application, declared_of, running_of):
            _judge_needed(names, place, application, evidence)


def _places(application: App, declared_of: DeclaredOf, running_of: RunningOf) -> list[Place]:
    declared = None if application.running else declared_of(application)
    return [declared] if declared else running_of(application)


def _judge_file(place: Place, evidence: Evidence) -> None:
    blank = _Found("interpolation", "blank variables", "Not set, and so left blank,", place.blank)
    _judge(evidence, blank, place, len(place.values))
    wrong = _Found("syntax", "mistakes in env files", "Not valid", place.mistakes)
    _judge(evidence, wrong, place, len(place.values))


def _judge_needed(names: list[str], place: Place, application: App, evidence: Evidence) -> None:
    setting = application.deciding("example" if application.example else "needs")
    for key, state, says in (("set", "missing", "Not set"), ("not-empty", "empty", "Empty")):
        wrong = environment.lacking(names, place, state)
        found = _Found(key, f"needed variables that are {state}", says, wrong)
        _judge(evidence, found, place, len(names), setting)


@check(
    "configuration.values",
    title="No placeholder, debug switch or local address is in effect",
    failure_title="A placeholder, a debug switch or a local address is in effect",
    each="application",
    severity="blocker",
    judgements=("placeholder", "debug", "local-address"),
    why="""A placeholder that nobody replaced is a secret that everybody knows, or an address that
    answers to nobody. A debug switch shows the source and the settings of the application to
    whoever causes an error.""",
    fix="""Set the real value where the application gets its environment, and start it again:
      docker compose up -d;  kubectl rollout restart deployment/NAME;  systemctl restart NAME
    A value that is meant: name its variable in `accepted` of [configuration.applications.NAME].
    placeholder: take the value from where the team keeps it, not from the example.
    debug: DEBUG=false, NODE_ENV=production, FLASK_DEBUG=0, APP_ENV=production.
    local-address: in a container, localhost is the container; use the name of the service.""",
)
def test_values(
    application: App,
    declared_of: DeclaredOf,
    running_of: RunningOf,
    evidence: Evidence,
) -> None:
    """No value is shown: the message says what kind it is."""
    for place in _places(application, declared_of, running_of):
        values = {n: v for n, v in place.values.items() if n not in application.accepted}
        for found in (
            _Found(
                "placeholder", "placeholders", "A placeholder", environment.placeholders(values)
            ),
            _Found(
                "debug",
                "settings of development",
                "Meant for development",
                environment.debugging(values, application),
            ),
            _Found(
                "local-address",
                "local addresses",
                "A local address",
                environment.local(values, application, place),
            ),
        ):
            _judge(evidence, found, place, len(values))


@check(
    "configuration.drift",
    title="What runs is what is declared",
    failure_title="What runs differs from what is declared",
    each="application",
    needs=("declared", "running"),
    judgements=("variables", "image"),
    why="""A variable that somebody changed by hand, or a container that was never restarted, is
    lost with the next deployment: the application then behaves as nobody has tested it. What was
    reviewed is not what serves.""",
    fix="""Apply what is declared, or declare what runs:
      docker compose up -d;  kubectl diff -f FILE;  kubectl apply -f FILE;  systemctl restart NAME
    A process keeps the environment it was started with: a changed file needs a restart.
    A variable that may differ: `ignore_drift` in [configuration.applications.NAME].""",
)
def test_drift(
    application: App,
    declared_of: DeclaredOf,
    running_of: RunningOf,
    evidence: Evidence,
) -> None:
    """Values are compared as salted digests; messages have names alone."""
    declared = declared_of(application)
    if declared is None or not (declared.values or declared.unread):
        raise NoData("no variable is declared, so that nothing can be compared", where=_NOTHING)
    for place in running_of(application):
        wrong = drift.variables(declared, place, application.ignore_drift)
        found = _Found("variables", "variables that differ", "Not as declared", wrong)
        _judge(evidence, found, place, len(declared.values) + len(declared.unread))
        if declared.image and place.image:
            other = drift.image(declared, place)
            wrong = [other] if other else []
            found = _Found("image", "images that differ", "Not the declared image", wrong)
            _judge(evidence, found, place, 1)


_NOTHING: Final = "[configuration.applications.NAME.declared]"


class _Found(NamedTuple):
    """What is wrong with an environment, and the words of a miss."""

    key: str
    name: str
    says: str
    wrong: Sequence[str]


def _judge(
    evidence: Evidence, found: _Found, place: Place, samples: int, setting: str = ""
) -> None:
    evidence.judge(
        found.key,
        Measurement(found.name, len(found.wrong), "count", place.source, samples=samples),
        equal_to(0, setting),
        worst([", ".join(found.wrong)]) if found.wrong else "",
        says=f"{found.says} in {place.source}",
    )
