"""What one deploys with: `python -m readiness.servers.fleet.tool --fleet URL ACTION [ARGUMENT]`.

Actions: `deploy RELEASE`, `rollback RELEASE`, `scale N`, `stop-one` and `reset` return once it is
done, and exit with 1 if it was not; `state` and `replicas` print; `status` exits with 1 while
something is under way; `write ID`, `read ID` and `remove ID` go the way that users go.
"""

import argparse
import http.client
import json
import sys
from typing import Any, Final
from urllib.parse import urlsplit

_CHANGES: Final = ("deploy", "rollback", "scale", "stop-one", "reset")
_NOTES: Final = {"write": "PUT", "read": "GET", "remove": "DELETE"}
_TELLS: Final = ("state", "replicas", "status")
_TIMEOUT_S: Final = 900.0
_OK: Final = 200


def _ask(url: str, method: str, path: str) -> tuple[int, Any]:
    address = urlsplit(url).netloc
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _change(fleet: str, action: str, argument: str) -> int:
    status, said = _ask(fleet, "POST", f"/{action}/{argument}")
    done = status == _OK and said["done"]
    if not done:
        sys.stderr.write(f"{action} {argument} failed: {said.get('release', said)} runs\n")
    return 0 if done else 1


def _tell(fleet: str, what: str) -> int:
    if what == "state":
        _say(*_ask(fleet, "GET", "/state")[1]["state"])
        return 0
    said = _ask(fleet, "GET", "/")[1]
    if what == "replicas":
        _say(str(said["serving"]))
        return 0
    return 1 if said["busy"] else 0


def _note(fleet: str, action: str, name: str) -> int:
    url = _ask(fleet, "GET", "/")[1]["url"]
    status, said = _ask(url, _NOTES[action], f"/notes/{name}")
    if status != _OK:
        sys.stderr.write(f"{action} {name}: {said}\n")
        return 1
    if action == "read":
        _say(said["id"])
    return 0


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def main() -> int:
    """Do it; gives the exit status."""
    parser = argparse.ArgumentParser(prog="fleet", allow_abbrev=False)
    parser.add_argument("--fleet", required=True, metavar="URL")
    parser.add_argument("action", choices=(*_CHANGES, *_TELLS, *_NOTES))
    parser.add_argument("argument", nargs="?", default="")
    asked = parser.parse_args()
    try:
        return _do(asked)
    except OSError as problem:
        sys.stderr.write(f"the fleet does not answer: {problem}\n")
        return 1


def _do(asked: argparse.Namespace) -> int:
    if asked.action in _CHANGES:
        return _change(asked.fleet, asked.action, asked.argument)
    if asked.action in _TELLS:
        return _tell(asked.fleet, asked.action)
    return _note(asked.fleet, asked.action, asked.argument)


if __name__ == "__main__":
    sys.exit(main())
