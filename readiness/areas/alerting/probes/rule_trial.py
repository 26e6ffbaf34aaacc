"""Tries loaded rules with promtool: do they fire where they must, and only there?"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from readiness.areas.alerting.promql.bounds import Bound, Direction, bounds
from readiness.areas.alerting.promql.drive import Undrivable
from readiness.areas.alerting.promql.trial import (
    Trial,
    Values,
    job_trial_files,
    trial_files,
    values,
)
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, Target
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.servers import programs

OVERRIDE: Final = "READINESS_PROMTOOL"
TIMEOUT_S: Final = 60.0
_RESULT: Final = re.compile(
    r"^Unit Testing:\s+(?P<file>\S+)\s*$\s*(?P<result>SUCCESS|FAILED)", re.MULTILINE
)
_CONTROL: Final = "control.yml"


def find() -> str:
    """Where promtool is: READINESS_PROMTOOL, else on the PATH, else an unpacked package.

    Raises:
        Unreachable: nowhere.
    """
    named = os.environ.get(OVERRIDE, "")
    found = shutil.which(named) if named else _found()
    if found is None:
        raise Unreachable(
            "promtool not found; alert rules cannot be tested",
            where=f"{OVERRIDE}={named}" if named else "PATH",
            remedy="apt-get install prometheus, or take promtool from the archive of the"
            " Prometheus that runs, and name it in READINESS_PROMTOOL",
        )
    return found


def _found() -> str | None:
    try:
        return programs.find(programs.PROMTOOL)
    except programs.AbsentError:
        return None


def run_tests(files: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> dict[str, bool]:
    """Run tests of rules, all in one run; gives for each file whether its tests passed.

    Args:
        files: by name: `rules.yml`, and files of tests, `control.yml` among them, which must
            pass wherever promtool can load the rules.
        timeout_s: seconds until it is stopped.

    Raises:
        Unreachable: there is no promtool.
        TookTooLong: it did not end in time.
        CouldNotMeasure: it cannot load the rules, or gave no result for a file.
    """
    program = find()
    tests = sorted(name for name in files if name != "rules.yml")
    with tempfile.TemporaryDirectory(prefix="readiness-rules-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        said = _run([program, "test", "rules", *tests], folder, timeout_s)
    results = {found["file"]: found["result"] == "SUCCESS" for found in _RESULT.finditer(said)}
    if not results.get(_CONTROL) or set(results) != set(tests):
        raise CouldNotMeasure(
            f"promtool cannot load the rules that Prometheus has loaded: {clean(said, 300)}",
            where=program,
            remedy="use a promtool of the same version as the Prometheus that runs"
            f" ({OVERRIDE} names it): promtool --version",
        )
    return results


def _run(command: list[str], folder: str, timeout_s: float) -> str:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f"promtool did not end within {timeout_s:g} s", where=command[0]
        ) from None
    except OSError as problem:
        raise Unreachable(f"promtool cannot be run: {problem.strerror}", where=command[0]) from None
    return ended.stdout.decode(errors="replace")


# After a start or a reload, targets appear once discovery has looked around: every 5 s.
_DISCOVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a rule did.

    Attributes:
        tried: the values that it was tried at.
        subject: what was brought to them, as PromQL.
        fires: whether it fired where it must.
        quiet: whether it kept quiet where it must.
        quiet_at_bound: whether it kept quiet exactly at the bound; None where no series comes
            to lie exactly there.
        recovers: whether it ended once the value was good again.
    """

    tried: Values
    subject: str
    fires: bool
    quiet: bool
    quiet_at_bound: bool | None
    recovers: bool


def try_rule(
    alert: str,
    expression: str,
    *,
    for_s: float,
    interval_s: float,
    direction: Direction,
    required: float,
) -> Behaviour:
    """Try one rule, on series made for it.

    Args:
        alert: its name.
        expression: PromQL.
        for_s: seconds that it must hold.
        interval_s: seconds between two evaluations.
        direction: on which side of the bound it must fire.
        required: the bound that it must have, in the unit that the rule compares in.

    Raises:
        NoData: no series could be made that bring it there.
        CouldNotMeasure: see `run_tests`.
    """
    bound = _nearest(bounds(expression), direction, required, expression)
    tried = values(direction, required)
    trial = Trial(alert, expression, for_s, interval_s, bound)
    try:
        did = run_tests(trial_files(trial, tried))
    except Undrivable as problem:
        raise _undriven(problem.sentence, expression) from None
    if not (did["drive-bad.yml"] and did["drive-good.yml"]):
        raise _undriven("the made-up series did not give the value that was wanted", expression)
    exact = did["drive-exact.yml"] and direction != "equals"
    return Behaviour(
        tried=tried,
        subject=bound.subject,
        fires=did["fires-bad.yml"],
        quiet=not did["fires-good.yml"],
        quiet_at_bound=not did["fires-exact.yml"] if exact else None,
        recovers=did["recovers.yml"],
    )


def _nearest(
    found: tuple[Bound, ...], direction: Direction, required: float, expression: str
) -> Bound:
    """The comparison that is meant: of that direction, and with that figure, if there is one."""
    if not found:
        raise _undriven("it compares nothing with a number", expression)
    return min(found, key=lambda b: (b.direction != direction, b.value != required))


def _undriven(reason: str, expression: str) -> NoData:
    return NoData(
        f"the rule cannot be tried: {reason}",
        where=expression,
        remedy="compare one figure with a number (record its inputs under a name of their own),"
        " or show by a drill that it fires, and declare the check not applicable in"
        " [gate.not_applicable] with that as the reason",
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """What the rules do when a job is lost.

    Attributes:
        down: whether one fires when its targets are down.
        gone: whether one fires when it has no target any more.
    """

    down: bool
    gone: bool


def lose_job(prometheus: Prometheus, rules: Sequence[Rule], job: str) -> Loss:
    """Try all loaded alerting rules together on the loss of a job.

    Args:
        prometheus: whose targets there are.
        rules: the alerting rules.
        job: the job, as Prometheus calls it.

    Raises:
        NoData: the job has no target.
        CouldNotMeasure: see `run_tests`.
    """
    found = until(prometheus.targets, lambda seen: bool(_of(job, seen)), within_s=_DISCOVERY_S)
    own = _of(job, found)
    if not own:
        raise NoData(
            f"the job {job} has no target",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    others = [t.labels for t in found if t.labels not in own]
    told = [{"alert": r.name, "expr": r.query, "for_s": r.for_s, "labels": r.labels} for r in rules]
    files = partial(job_trial_files, job=own[0].get("job", job), targets=own, others=others)
    did = run_tests(files(told))
    if not did["well.yml"]:
        # One that cannot be evaluated fires on nothing, and would end the trial of all others.
        alone = (run_tests(files([rule])) for rule in told)
        good = [rule for rule, tried in zip(told, alone, strict=True) if tried["well.yml"]]
        did = run_tests(files(good))
    return Loss(down=did["down.yml"], gone=did["gone.yml"])


def _of(job: str, targets: Sequence[Target]) -> list[dict[str, str]]:
    return [t.labels for t in targets if job in (t.pool, t.labels.get("job"))]
