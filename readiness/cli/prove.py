"""`readiness prove`."""

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from readiness.model.errors import UsageError
from readiness.model.exitcodes import ExitCode
from readiness.model.fault import Fault, one_for_each_judgement
from readiness.prove.proofs import block, page, summary
from readiness.prove.prover import Proof, Prover
from readiness.report.files import write
from readiness.run import catalogue


def run(
    *,
    pattern: str,
    quick: bool,
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
    if quick:
        faults = one_for_each_judgement(faults)
    prover = Prover(provider=provider, systems=systems, say=_say, quick=quick, second_try=True)
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
