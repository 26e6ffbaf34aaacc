"""The shop's website: one page over TLS, with a self-signed certificate made by `openssl`.

Run as a module with PORT FOLDER. `GET /_ctl` on PORT, without TLS, shows the port with TLS; `POST
/_ctl {"days": 3}` makes a new certificate that is valid for three days, and `{"status": 503}`
changes the answer of the page.
"""

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers import programs
from readiness.servers.small_server import body_of, serve

_END_OF_HEAD: Final = b"\r\n\r\n"
_PATIENCE_S: Final = 5.0


class Answers(BaseModel):
    """How the site answers: days that its certificate is valid, and the status of the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = 365
    status: int = 200


class Site:
    """The page and its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._answers = Answers()
        self.port = 0
        self._certify()

    async def open(self) -> asyncio.Server:
        """Serve the page over TLS on a free port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def control(self, request: Request) -> Response:
        """Show or change how it answers."""
        if request.method == "POST":
            self._answers = Answers.model_validate_json(await body_of(request))
            await asyncio.to_thread(self._certify)
        return JSONResponse({"tls_port": self.port, "answers": self._answers.model_dump()})

    def _certify(self) -> None:
        key, certificate = self._folder / "site.key", self._folder / "site.pem"
        subprocess.run(
            [
                *(programs.find(programs.OPENSSL), "req", "-x509", "-nodes", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", str(self._answers.days)),
                *("-subj", "/CN=shop.example.com", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )
        # This also works for a context in use, from the next handshake on.
        self._context.load_cert_chain(certificate, key)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await reader.readuntil(_END_OF_HEAD)
                writer.write(
                    f"HTTP/1.1 {self._answers.status} Shop\r\ncontent-type: text/html\r\n"
                    "content-length: 4\r\nconnection: close\r\n\r\nshop".encode()
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


async def main(port: int, folder: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    site = Site(folder)
    async with await site.open():
        await serve([Route("/_ctl", site.control, methods=["GET", "POST"])], port)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
