"""The table of `readiness prove`, for the terminal and as a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from readiness.prove import Proof

_WIDTH = 40


def table(proofs: "Sequence[Proof]") -> str:
    """One block a fault: what was expected, what was seen, how long it took."""
    lines = []
    for proof in proofs:
        word = "proven" if proof.proven else "NOT PROVEN"
        lines.append(f"{word:<11} {proof.fault:<{_WIDTH}} {proof.duration_s:6.1f} s")
        lines += [f"            {text}" for text in details(proof)]
    proven = sum(proof.proven for proof in proofs)
    lines += ["", f"{proven} of {len(proofs)} proven"]
    return "\n".join(lines)


def details(proof: "Proof") -> list[str]:
    """What was expected and seen; for a proven one just what turned red."""
    if proof.error:
        return [f"could not be tried: {proof.error}"]
    if proof.proven:
        return [f"{outcome}: {name}" for name, outcome in sorted(proof.seen.items())]
    lines = [f"expected: {name}" for name in proof.expected if name not in proof.seen]
    lines += [
        f"{'seen' if name in proof.expected else 'seen, not expected'}: {name} ({outcome})"
        for name, outcome in sorted(proof.seen.items())
    ]
    return lines + [f"still {o} afterwards: {name}" for name, o in sorted(proof.after.items())]


def page(proofs: "Sequence[Proof]") -> str:
    """The same as one HTML file without script."""
    environment = Environment(
        loader=PackageLoader("readiness.report"), autoescape=True, undefined=StrictUndefined
    )
    rows = [(proof, details(proof)) for proof in proofs]
    proven = sum(proof.proven for proof in proofs)
    return environment.get_template("proofs.html").render(rows=rows, proven=proven)
