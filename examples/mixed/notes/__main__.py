"""The server: GET / lists the notes, GET /NUMBER shows one, POST /TITLE adds one."""

import os
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote

from notes import store
from notes.pages import Pages

ROOT = Path(os.environ.get("NOTES_ROOT", "/srv/notes"))
SETTINGS = tomllib.loads(Path(os.environ.get("NOTES_CONF", "/etc/notes/notes.toml")).read_text())
NOTES = store.open_store(SETTINGS["database"], ROOT / "migrations")
PAGES = Pages(ROOT, SETTINGS["language"])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asset = ROOT / "assets" / self.path.removeprefix("/assets/")
        if self.path == "/":
            self.answer(200, PAGES.listing(store.titles(NOTES)).encode())
        elif self.path == "/robots.txt":
            self.answer(200, (ROOT / "static" / "robots.txt").read_bytes(), "text/plain")
        elif self.path == f"/assets/{asset.name}" and asset.is_file():
            self.answer(200, asset.read_bytes(), "text/css" if asset.suffix == ".css" else "text/javascript")
        elif self.path[1:].isdigit() and (found := store.note(NOTES, int(self.path[1:]))):
            self.answer(200, PAGES.note(*found).encode())
        else:
            self.answer(404, b"no such note\n", "text/plain")

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        number = store.add(NOTES, unquote(self.path[1:]), text)
        self.answer(201, f"/{number}\n".encode(), "text/plain")

    def answer(self, status: int, body: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("", SETTINGS["port"]), Handler).serve_forever()
