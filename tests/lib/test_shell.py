import subprocess

import pytest

from readiness.lib.shell import can_fail, command_can_fail

SUCCEED = [
    "true", ":", "exit 0", "echo ok", "/bin/true", "curl -f http://localhost/ || true",
    "pg_isready || exit 0", "curl http://localhost/; exit 0", "false; true", "false\ntrue",
    "false && true || echo no", "false | echo yes", "sh -c 'exit 0'", "bash -c 'false || :'",
    "exit 0; false", "false||true", "true && false || exit 0",
    "(false || true)", "sh -xc 'false || true'", "date",
    "false | cat", "false 2>&1 | tee /dev/null", "test 1 -eq 1", "[ a = a ]", "test -n x",
    "if false; then exit 1; fi", "if nowhere; then exit 0; else exit 0; fi", "false &",
    "nowhere || (echo no; exit 0)", "nowhere || { echo no; exit 0; }", "! false", "sleep 0",
    "x=$(nowhere); echo $x", "env true", "exec true", "timeout 5 true", "nowhere & wait",
    "case $(nowhere) in ok) exit 0 ;; *) true ;; esac", "trap 'exit 0' EXIT; false",
    "for i in 1 2; do nowhere && exit 0; true; done", "nowhere > /dev/null 2>&1 || :",
    "python3 -c pass", "python3 -c 'print(1)'", "python3 -c 'import sys; sys.exit(0)'", "id",
    "python3 -c 'try: nowhere()\nexcept Exception: pass'", "cat --version", "exec pwd",
    "nowhere || echo \"no || ';' $(false)\"", "false # || exit 1\ntrue", "false || \\\n true",
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
    "set -o pipefail; false | cat", "false | grep x", "test 1 -eq 2", "[ -f /nowhere ]",
    "if nowhere; then exit 0; else exit 1; fi", "if nowhere; then true; else false; fi",
    "nowhere || { echo no; exit 1; }", "x=$(nowhere)", "exec nowhere", "timeout 5 nowhere",
    "case $(nowhere) in ok) exit 0 ;; esac; false", "case $x in a) true ;; *) false ;; esac",
    "trap 'echo bye' EXIT; false", "false; exit $?", "for i in 1 2; do nowhere; done",
    "while ! nowhere; do sleep 1; done", 'test "$(nowhere)" = ok', "f() { true; }; f; false",
    "cat <<< x", "nowhere || kill 1", "[[ -f /nowhere ]]", "fi", "if true", "case x", "for x",
    "python3 -c 'import sys; sys.exit(1)'", "python3 -c 'nowhere()'", "python3 -c 'x = '",
    "python3 -c 'try: nowhere()\nexcept ValueError: pass'", "python3 -m nowhere",
    "python3 -c 'try: exit(1)\nexcept Exception: pass'", 'python3 -c "$CODE"',
    "node -e 'fetch(1)'", "perl -e 'die 0'", "ps aux | grep '[n]owhere'", "node server.js",
    "ps aux | grep nowhere | grep -v grep", "ps | grep nowhere", "ps aux | grep -v root",
    "true; )", 'echo "$(', "echo `", "(true) x",
]  # fmt: skip


@pytest.mark.parametrize("script", SUCCEED)
def test_a_script_that_always_succeeds_is_found(script: str) -> None:
    assert not can_fail(script)
    # In a shell without any program it succeeds, too.
    assert subprocess.run(["/bin/sh", "-c", script], env={"PATH": "/bin:/usr/bin"}, check=False,
                          capture_output=True).returncode == 0  # fmt: skip


@pytest.mark.parametrize("script", [*FAIL, "echo 'not closed", "("])
def test_a_script_that_may_fail_is_not_blamed(script: str) -> None:
    assert can_fail(script)


@pytest.mark.parametrize(
    "script",
    ["ps aux | grep nowhere", "ps -ef | grep -q nowhere >/dev/null", "node -e 'process.exit(0)'",
     'php -r "echo 1;"', "ruby -e 'puts 1'", "node --eval \"console.log('ok')\"", "perl -e 1"],
)  # fmt: skip
def test_what_succeeds_with_programs_that_need_not_be_here(script: str) -> None:
    assert not can_fail(script)


def test_without_a_shell_words_are_arguments() -> None:
    assert not command_can_fail(["echo", "ok", ";", "false"])
    assert not command_can_fail(["sh", "-c", "exit 0"])
    assert command_can_fail(["pg_isready", "||", "true"])
