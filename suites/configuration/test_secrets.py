"""The secrets of each application, and the files that they are in."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.configuration import environment
from readiness.areas.configuration.config import App
from readiness.areas.configuration.environment import Kept, Place, secrets_in
from readiness.areas.configuration.probes import secrets
from readiness.areas.configuration.probes import secrets as probe
from readiness.fixtures.configuration import DeclaredOf, RunningOf
from readiness.lib.text import worst
from readiness.model.errors import NoData


@check(
    "configuration.secrets",
    title="Secrets exist, are strong, and belong to this environment alone",
    failure_title="A secret does not exist, is weak, or is another environment's too",
    each="application",
    severity="blocker",
    core=True,
    judgements=("resolves", "strong", "closed", "own"),
    why="""A pod whose secret does not exist never starts. A weak secret is found by trying, and one
    that staging shares opens production to everybody who works on staging.""",
    fix="""strong, own: make a new one, set it here alone, and restart what uses it:
      openssl rand -base64 32
      Not a secret: `public` in [configuration.applications.NAME.secrets].
    resolves: create the key, or correct the reference:
      kubectl create secret generic NAME --from-file=KEY=FILE;  kubectl describe pod POD
      Made by an operator, and not in the files: `provided`, or read the cluster: `running.cluster`.
    closed: a server accepts an empty password: remove the variable that allows it.""",
)
def test_secrets(
    application: App,
    declared_of: DeclaredOf,
    running_of: RunningOf,
    evidence: Evidence,
) -> None:
    """The values of a live cluster's Secrets are not read: their keys must exist, not empty."""
    places: list[Place] = []
    with evidence.attempt():
        if declared := declared_of(application):
            places.append(declared)
    with evidence.attempt():
        places += running_of(application)
    for place in places:
        with evidence.attempt():
            _judge_references(place, evidence)
    found = _secrets(application, places, evidence)
    if not found and not any(place.unread for place in places) and not evidence.lost:
        raise NoData(
            "no secret was found, so that none was judged",
            where=", ".join(place.source for place in places),
            remedy=f"name them: `names` in [configuration.applications.{application.name}.secrets]",
        )
    if found:
        with evidence.attempt():
            _judge_strength(application, found, places, evidence)


def _secrets(application: App, places: list[Place], evidence: Evidence) -> list[Kept]:
    """Those that can be seen; of the same name the one that runs, rather than the declared one."""
    settings = application.secrets
    found = {one.name: one for place in places for one in secrets_in(place, settings)}
    for name, command in settings.backend.items():
        with evidence.attempt():
            kept = probe.of_backend(name, command, settings)
            found[kept.name] = kept
    return list(found.values())


def _judge_references(place: Place, evidence: Evidence) -> None:
    evidence.judge(
        "resolves",
        Measurement("references that do not resolve", len(place.unresolved), "count", place.source),
        equal_to(0),
        worst(place.unresolved),
        says=f"References that do not resolve in {place.source}",
    )
    if place.unknown:
        raise NoData(
            f"{len(place.unknown)} references cannot be followed from here: {worst(place.unknown)}",
            where=place.source,
            remedy="set `running.cluster` to read which secrets and keys exist, or name in"
            " `provided` what something else creates",
        )


def _judge_strength(
    application: App, found: list[Kept], places: list[Place], evidence: Evidence
) -> None:
    settings, source = application.secrets, places[-1].source if places else "the backend"
    count = len(found)
    weak = probe.weak(found)
    evidence.judge(
        "strong",
        Measurement("weak secrets", len(weak), "count", source, samples=count),
        equal_to(0, settings.deciding("min_length")),
        worst(weak),
        says=f"Weak secrets in {source}, {len(weak)} of {count}",
    )
    opened = environment.opened(places)
    evidence.judge(
        "closed",
        Measurement("variables that allow access without a password", len(opened), "count", source),
        equal_to(0),
        worst(opened),
        says=f"Access without a password is allowed in {source}",
    )
    if settings.others:
        shared = probe.shared(found, settings)
        evidence.judge(
            "own",
            Measurement("shared secrets", len(shared), "count", source, samples=count),
            equal_to(0, settings.deciding("others")),
            worst(shared),
            says=f"Secrets that another environment has, too, {len(shared)} of {count}",
        )


@check(
    "configuration.secret-files",
    title="Files with secrets are private, and not in git",
    failure_title="A file with secrets is readable by everybody, or in git",
    each="application",
    needs="env_files",
    judgements=("private", "untracked"),
    why="""Every account of the machine, and every process that somebody breaks into, can read a
    file that is open to all. What git has once, every clone has for ever: deleting the file leaves
    it in the history.""",
    fix="""Open to all: leave the file to the account that reads it:
      chmod 600 FILE
    In git: stop tracking it, then change every secret in it, as the history keeps them:
      git rm --cached FILE;  echo /FILE >> .gitignore
    Encrypted files (sops, dotenvx, git-crypt) may stay: they hold references or cipher text.""",
)
def test_secret_files(application: App, declared_of: DeclaredOf, evidence: Evidence) -> None:
    """Files without secrets may be open and in git; so may encrypted ones."""
    place = declared_of(application)
    if place is None:
        raise NoData("no file is declared")
    files = secrets.with_secrets(place, application.secrets)
    if not files:
        evidence.record(Measurement("files with secrets", 0, "count", place.source))
    with evidence.attempt():
        opened = [str(path) for path in files if secrets.open_to_all(path)]
        evidence.judge(
            "private",
            Measurement("open files", len(opened), "count", place.source, samples=len(files)),
            equal_to(0),
            worst(opened),
            says="Files with secrets that everybody may read",
        )
    with evidence.attempt():
        tracked = [f"{path} {how}" for path in files if (how := secrets.in_git(path))]
        evidence.judge(
            "untracked",
            Measurement("files in git", len(tracked), "count", place.source, samples=len(files)),
            equal_to(0),
            worst(tracked),
            says="Files with secrets that git has",
        )
