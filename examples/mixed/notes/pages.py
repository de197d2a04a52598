"""Notes → HTML."""

import json
from html import escape
from pathlib import Path
from string import Template

import mistune


class Pages:
    def __init__(self, root: Path, language: str) -> None:
        self.root = root
        self.words = json.loads((root / "locale" / f"{language}.json").read_text())
        self.assets = json.loads((root / "assets" / "manifest.json").read_text())

    def listing(self, titles: list[tuple[int, str]]) -> str:
        items = "\n".join(f'<li><a href="/{number}">{escape(title)}</a>' for number, title in titles)
        return self.page("list.html", title=self.words["notes"], items=items, search=self.words["search"])

    def note(self, title: str, text: str) -> str:
        return self.page("note.html", title=escape(title), body=mistune.html(text), back=self.words["back"])

    def page(self, template: str, **values: str) -> str:
        inner = Template((self.root / "templates" / template).read_text()).substitute(values)
        outer = Template((self.root / "templates" / "page.html").read_text())
        css, script = self.assets["notes.css"], self.assets["notes.js"]
        return outer.substitute(title=values["title"], inner=inner, css=css, script=script)
