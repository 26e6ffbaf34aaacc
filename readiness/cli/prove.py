"""`readiness prove`, and its table for the terminal and as a page."""

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from jinja2 import Environment, PackageLoader, StrictUndefined

from readiness.model.clean import line
from readiness.model.errors import UsageError
from readiness.model.fault import Fault, one_for_each_check, one_for_each_judgement
from readiness.model.record import CheckResult
from readiness.model.verdict import ExitCode
from readiness.prove.prover import Proof, Prover
from readiness.report.files import write
from readiness.run import catalogue


def run(
    *,
    pattern: str,
    quick: bool,
    sample: bool = False,
    healthy: int,
    systems: int,
    provider: str | None,
    optional: Sequence[str],
    form: str,
    html: Path | None,
) -> int:
    """Prove the checks.

    Returns:
        0 only if every fault was proven; 1 if one was not; 3 if what was tried is proven, and
        something could not be tried on this machine whose part is not optional.

    Raises:
        UsageError: no fault matches, or there is no such optional part.
        ReferenceSystemError: the reference system does not start.
    """
    _known(optional)
    faults = [fault for fault in catalogue.faults() if _matches(fault, pattern)]
    if not faults:
        raise UsageError(
            f"no fault matches {pattern!r}",
            where="-k",
            remedy="list the faults: readiness list --judgements",
        )
    if sample:
        faults = one_for_each_check(faults)
    elif quick:
        faults = one_for_each_judgement(faults)
    prover = Prover(
        provider=provider, systems=systems, say=_say, quick=quick or sample, second_try=True
    )
    # With -k somebody works on a few faults: the healthy runs are left to full proofs.
    proofs = list(prover.prove(faults, healthy=0 if pattern else healthy))
    if form == "json":
        click.echo(json.dumps([proof.to_dict() for proof in proofs], indent=1))
    else:
        click.echo(summary(proofs))
    if html:
        write(html, [page(proofs)])
    return _exit_code(proofs, optional)


def _known(optional: Sequence[str]) -> None:
    parts = {fault.needs for fault in catalogue.faults()} - {""}
    for name in optional:
        if name not in parts:
            raise UsageError(
                f"unknown part {name!r}",
                where="--optional",
                remedy=f"use one of: {', '.join(sorted(parts))}",
            )


def _exit_code(proofs: Sequence[Proof], optional: Collection[str] = ()) -> ExitCode:
    tried = [proof for proof in proofs if not proof.untried]
    if not proofs or not all(proof.proven for proof in tried):
        return ExitCode.NOT_READY
    lacking = {proof.needs for proof in proofs if proof.untried}
    return ExitCode.READY if tried and lacking <= set(optional) else ExitCode.INCOMPLETE


def _matches(fault: Fault, pattern: str) -> bool:
    return any(pattern in text for text in (fault.name, *fault.misses))


def _say(proof: Proof) -> None:
    """Print to stderr: stdout may hold JSON."""
    sys.stderr.write("\n".join(block(proof)) + "\n")
    sys.stderr.flush()


_WIDTH = 40


def block(proof: Proof) -> list[str]:
    """The lines of a fault for the terminal: verdict, seconds, and differences."""
    first = f"{verdict(proof):<11} {proof.fault:<{_WIDTH}} {proof.duration_s:6.1f} s"
    return [first, *(f"            {text}" for text in details(proof))]


def summary(proofs: Sequence[Proof]) -> str:
    """The table of all faults with the number of proven ones."""
    lines = [f"{'':<11} {'fault':<{_WIDTH}} {'expected':>8} {'seen':>5} {'time':>9}"]
    for proof in proofs:
        figures = f"{len(proof.expected):>8} {len(proof.seen):>5} {proof.duration_s:>7.1f} s"
        lines.append(f"{verdict(proof):<11} {proof.fault:<{_WIDTH}} {figures}")
        shown = [] if proof.proven and not proof.second_try else details(proof)
        lines += [f"            {text}" for text in shown]
    return "\n".join([*lines, "", heading(proofs)])


def verdict(proof: Proof) -> str:
    """`proven`, `NOT PROVEN`, or `NOT TRIED`."""
    if proof.untried:
        return "NOT TRIED"
    return "proven" if proof.proven else "NOT PROVEN"


def heading(proofs: Sequence[Proof]) -> str:
    """The number of proven faults."""
    proven = sum(proof.proven for proof in proofs)
    again = sum(proof.proven and proof.second_try for proof in proofs)
    untried = sum(bool(proof.untried) for proof in proofs)
    told = f"{proven} of {len(proofs)} proven"
    told += f" ({again} on the second try)" if again else ""
    return f"{told}, {untried} not tried" if untried else told


def details(proof: Proof) -> list[str]:
    """What was expected and seen; for a proven fault only what failed."""
    if proof.untried:
        return [f"cannot be tried here: {line(proof.untried)}"]
    if proof.error:
        return [f"could not be tried: {line(proof.error)}"]
    if proof.proven:
        lines = ["on the second try, running alone"] if proof.second_try else []
        return lines + [_missed(name, c) for name, c in sorted(proof.seen.items())]
    lines = list(proof.differences)
    lines += [f"seen: {_told(check)}" for _, check in sorted(proof.seen.items())]
    return lines + [f"still afterwards: {_told(c)}" for _, c in sorted(proof.after.items())]


def _missed(name: str, check: CheckResult) -> str:
    keys = f" ({', '.join(check.missed)})" if check.missed else ""
    return f"{check.outcome}: {name}{keys}"


def _told(check: CheckResult) -> str:
    return f"{check.name} ({check.outcome}): {line(check.message, 300)}"


def page(proofs: Sequence[Proof]) -> str:
    """The same as one HTML file without script."""
    environment = Environment(
        loader=PackageLoader("readiness.prove"), autoescape=True, undefined=StrictUndefined
    )
    rows = [(proof, verdict(proof), details(proof)) for proof in proofs]
    return environment.get_template("proofs.html").render(rows=rows, heading=heading(proofs))
