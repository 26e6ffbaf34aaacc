"""Sends the verdict of a run to Slack, Teams or by mail: `notify.py slack|teams|mail`.

Needs nothing but Python and `reports/readiness.json`. Variables:
  WEBHOOK_URL   of Slack (incoming webhook) or Teams (workflow "when a webhook request is received")
  MAIL_FROM, MAIL_TO, SMTP_HOST (default localhost), SMTP_PORT (default 25)
  REPORT_URL    where the page is, for a link; optional
A message that cannot be sent ends with exit code 1: run it after the gate, not instead of it.
"""

import json
import os
import smtplib
import sys
import urllib.request
from email.message import EmailMessage
from pathlib import Path

SHOWN = 5
TIMEOUT_S = 10


def main(kind: str, record: Path) -> None:
    found = json.loads(record.read_text(encoding="utf-8"))
    title, lines = summary(found)
    if kind == "mail":
        mail(title, lines, record.with_name("readiness.html"))
    else:
        post({"slack": slack, "teams": teams}[kind](title, lines))


def summary(record: dict) -> tuple[str, list[str]]:
    """The verdict in a line, and why."""
    target = record["target"]
    title = f"{record['verdict']}: {target['name']} {target['release']} ({target['environment']})"
    reasons = record["reasons"]
    lines = [f"• {reason}" for reason in reasons[:SHOWN]]
    if len(reasons) > SHOWN:
        lines.append(f"and {len(reasons) - SHOWN} more reasons")
    if link := os.environ.get("REPORT_URL"):
        lines.append(link)
    return title, lines


def slack(title: str, lines: list[str]) -> dict:
    # These three are the only characters that Slack asks to be escaped.
    text = "\n".join([f"*{title}*", *lines])
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def teams(title: str, lines: list[str]) -> dict:
    blocks = [{"type": "TextBlock", "text": title, "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": line, "wrap": True} for line in lines]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def post(body: dict) -> None:
    request = urllib.request.Request(
        os.environ["WEBHOOK_URL"],
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=TIMEOUT_S).close()


def mail(title: str, lines: list[str], page: Path) -> None:
    message = EmailMessage()
    message["Subject"] = f"readiness: {title}"
    message["From"], message["To"] = os.environ["MAIL_FROM"], os.environ["MAIL_TO"]
    message.set_content("\n".join(lines) + "\n")
    message.add_attachment(page.read_text(encoding="utf-8"), subtype="html", filename=page.name)
    host, port = os.environ.get("SMTP_HOST", "localhost"), int(os.environ.get("SMTP_PORT", "25"))
    with smtplib.SMTP(host, port, timeout=TIMEOUT_S) as server:
        server.send_message(message)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("slack", "teams", "mail"):
        sys.exit(__doc__)
    try:
        main(sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "reports/readiness.json"))
    except (OSError, KeyError, ValueError) as error:
        # The address of a webhook is a secret: only what went wrong is printed.
        sys.exit(f"notify: {type(error).__name__}: {error}")
