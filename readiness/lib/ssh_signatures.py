"""SSH signatures of sign-offs, as git makes them: `ssh-keygen -Y sign` and `-Y verify`."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from readiness.config.base.signoffs import Signoff
from readiness.lib.text import clean
from readiness.model.errors import NoData, ReadinessError, TookTooLong, Unreachable, UsageError

NAMESPACE: Final = "readiness-signoff"
"""A signature for another purpose, such as a commit, does not verify here."""
_PROGRAM: Final = "ssh-keygen"
_MISSING: Final = f"{_PROGRAM} not found; sign-offs cannot be signed or verified"
_INSTALL: Final = "apt-get install openssh-client"
_TIMEOUT_S: Final = 10
_ASKS_S: Final = 120  # for a passphrase, or a touch of the key
_LONGEST: Final = 1 << 20


def payload(signoff: Signoff) -> bytes:
    """What is signed: every key but the signature, as canonical JSON."""
    told = signoff.model_dump(mode="json", exclude={"signature"}, exclude_none=True)
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sign(signoff: Signoff, key: Path) -> str:
    """The signature, by a private key or by the agent's key of a public one.

    Raises:
        UsageError: the key cannot be used, or ssh-keygen is missing.
    """
    try:
        done = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], payload(signoff), _ASKS_S)
    except Unreachable as error:
        raise UsageError(error.message, where="--key", remedy=error.remedy) from None
    if done.returncode:
        raise UsageError(
            f"cannot sign with {key}: {_last(done.stderr)}",
            where="--key",
            remedy="name your private SSH key, or the public one of a key in the agent",
        )
    return done.stdout.decode("ascii")


def problem(signoff: Signoff, allowed: Path) -> str:
    """Why the signature does not show that the person gave it; empty if it does.

    Args:
        signoff: with its signature.
        allowed: the file of allowed signers.

    Raises:
        NoData: that file cannot be read.
        Unreachable: ssh-keygen is missing.
    """
    if not signoff.signature.strip():
        return f"the sign-off of {signoff.person} has no signature"
    try:
        allowed.read_bytes()[:_LONGEST].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise NoData(
            f"the allowed signers cannot be read: {error}",
            where=str(allowed),
            remedy="name a file as `gpg.ssh.allowedSignersFile` of git",
        ) from None
    with tempfile.NamedTemporaryFile(prefix="readiness-signature-") as file:
        file.write(signoff.signature.encode())
        file.flush()
        names = ["-f", str(allowed), "-I", signoff.person, "-n", NAMESPACE, "-s", file.name]
        done = _run(["-Y", "verify", *names], payload(signoff), _TIMEOUT_S)
    if done.returncode == 0:
        return ""
    reason = _last(done.stderr) or _last(done.stdout)
    return f"the signature of {signoff.person} is not valid for what it signs: {reason}"


def absent() -> str:
    """Why nothing can be signed on this machine; empty if it can."""
    try:
        _run(["-Y", "find-principals"], b"", _TIMEOUT_S)
    except ReadinessError:
        return f"{_PROGRAM} is not installed: {_INSTALL}"
    return ""


def _run(
    arguments: list[str], given: bytes, timeout_s: float
) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            [_PROGRAM, *arguments], input=given, capture_output=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        raise Unreachable(_MISSING, where="PATH", remedy=_INSTALL) from None
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f"{_PROGRAM} did not answer within {timeout_s:g} s",
            where=_PROGRAM,
            remedy="use a key that needs no answer, or the agent: ssh-add",
        ) from None


def _last(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return clean(lines[-1], 200) if lines else ""
