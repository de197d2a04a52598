"""The service: GET /sign?name=NAME and GET /name?token=TOKEN."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

from app.tokens import name_of, sign

DATA = Path(os.environ.get("DATA", "/data"))


def secret() -> str:
    """Made at the first start, and kept with the data."""
    path = DATA / "secret"
    if not path.exists():
        path.write_text(token_hex(32))
    return path.read_text()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/sign" and "name" in query:
            self.answer(200, sign(secret(), query["name"]))
        elif url.path == "/name" and "token" in query:
            name = name_of(secret(), query["token"])
            self.answer(200 if name else 403, name or "not ours")
        else:
            self.answer(404, "GET /sign?name=NAME or /name?token=TOKEN")

    def answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), Handler).serve_forever()
