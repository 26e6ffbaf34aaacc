"""The table of `readiness prove`, for the terminal and as a page."""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from readiness.model.clean import line
from readiness.model.record import CheckResult
from readiness.prove.prover import Proof

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
