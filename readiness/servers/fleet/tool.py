"""The deployment tool of the fleet: `tool.py --fleet URL ACTION [ARGUMENT]`.

`deploy RELEASE`, `rollback RELEASE`, `scale N`, `stop-one` and `reset` return when the change is
complete, with status 1 if it failed. `state` and `replicas` print; `status` exits with 1 while a
change is in progress. `write ID`, `read ID` and `remove ID` access a note through the balancer.
It must import nothing but the standard library: it runs with `python -S`.
"""

import argparse
import http.client
import json
import sys
from typing import Any, Final
from urllib.parse import urlsplit

_CHANGES: Final = ("deploy", "rollback", "scale", "stop-one", "reset")
_NOTES: Final = {"write": "PUT", "read": "GET", "remove": "DELETE"}
_QUERIES: Final = ("state", "replicas", "status")
_TIMEOUT_S: Final = 900.0
_OK: Final = 200


def _request(url: str, method: str, path: str) -> tuple[int, Any]:
    address = urlsplit(url).netloc
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _change(fleet: str, action: str, argument: str) -> int:
    status, document = _request(fleet, "POST", f"/{action}/{argument}")
    done = status == _OK and document["done"]
    if not done:
        sys.stderr.write(
            f"{action} {argument} failed: {document.get('release', document)} is running\n"
        )
    return 0 if done else 1


def _query(fleet: str, view: str) -> int:
    if view == "state":
        _print(*_request(fleet, "GET", "/state")[1]["state"])
        return 0
    document = _request(fleet, "GET", "/")[1]
    if view == "replicas":
        _print(str(document["serving"]))
        return 0
    return 1 if document["busy"] else 0


def _note(fleet: str, action: str, name: str) -> int:
    url = _request(fleet, "GET", "/")[1]["url"]
    status, document = _request(url, _NOTES[action], f"/notes/{name}")
    if status != _OK:
        sys.stderr.write(f"{action} {name}: {document}\n")
        return 1
    if action == "read":
        _print(document["id"])
    return 0


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fleet", allow_abbrev=False)
    parser.add_argument("--fleet", required=True, metavar="URL")
    parser.add_argument("action", choices=(*_CHANGES, *_QUERIES, *_NOTES))
    parser.add_argument("argument", nargs="?", default="")
    arguments = parser.parse_args()
    fleet, action = arguments.fleet, arguments.action
    try:
        if action in _CHANGES:
            return _change(fleet, action, arguments.argument)
        if action in _QUERIES:
            return _query(fleet, action)
        return _note(fleet, action, arguments.argument)
    except OSError as problem:
        sys.stderr.write(f"the fleet does not answer: {problem}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
