import subprocess

import pytest

from readiness.lib.shell import can_fail, command_can_fail

SUCCEED = [
    "true", ":", "exit 0", "echo ok", "/bin/true", "curl -f http://localhost/ || true",
    "pg_isready || exit 0", "curl http://localhost/; exit 0", "false; true", "false\ntrue",
    "false && true || echo no", "false | echo yes", "sh -c 'exit 0'", "bash -c 'false || :'",
    "exit 0; false", "false||true", "true && false || exit 0",
    "(false || true)", "sh -xc 'false || true'", "date", "(",
]  # fmt: skip
FAIL = [
    "false", "exit 1", "true; false", "false || exit 1", "true && false", "false || true && false",
    "true | grep x", "sh -c 'false'", "exit 1; true",
    "exit 1 || exit 0", "curl -f x && exit 0 || exit 1",
    "curl -f x&&exit 0||exit 1",
    "curl -f x || exit 1; exit 0", "set -e; curl -f x; exit 0",
    "curl -f x || exit", "if true; then exit 1; fi",
    "test -f /nowhere", "curl http://localhost/; exit",
    "echo ok; false", "cat /nowhere", "echo 'a || true' && false", "! true",
]  # fmt: skip


@pytest.mark.parametrize("script", SUCCEED[:-1])
def test_a_script_that_always_succeeds_is_found(script: str) -> None:
    assert not can_fail(script)
    # In a shell without any program it succeeds, too.
    assert subprocess.run(["/bin/sh", "-c", script], env={"PATH": "/bin:/usr/bin"}, check=False,
                          capture_output=True).returncode == 0  # fmt: skip


@pytest.mark.parametrize("script", [*FAIL, "echo 'not closed", "("])
def test_a_script_that_may_fail_is_not_blamed(script: str) -> None:
    assert can_fail(script)


def test_without_a_shell_words_are_arguments() -> None:
    assert not command_can_fail(["echo", "ok", ";", "false"])
    assert not command_can_fail(["sh", "-c", "exit 0"])
    assert command_can_fail(["pg_isready", "||", "true"])
