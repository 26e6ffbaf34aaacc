"""Sends an order to the pager: `python pager_command.py URL trigger|acknowledge|resolve ID`.

Run by its path, and with the standard library only: an acknowledgement must not come late
because a busy machine was still importing something.
"""

import http.client
import json
import sys
from urllib.parse import quote, urlsplit

_TIMEOUT_S = 10.0
_FIRST_ERROR = 400


def main(url: str, action: str, alert: str) -> None:
    """Send one request; an error ends the program with the answer."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_TIMEOUT_S)
    try:
        if action == "trigger":
            body = json.dumps({"id": alert})
            connection.request("POST", "/alerts", body, {"content-type": "application/json"})
        else:
            connection.request("POST", f"/alerts/{quote(alert, safe='')}/{action}")
        answer = connection.getresponse()
        if answer.status >= _FIRST_ERROR:
            sys.exit(f"{url} answered {answer.status}: {answer.read(200)!r}")
    finally:
        connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
