import json
import tempfile
import unittest
from pathlib import Path

from notes import store
from notes.pages import Pages

ROOT = Path(__file__).parent.parent


class Notes(unittest.TestCase):
    def test_a_note_is_kept(self) -> None:
        notes = store.open_store(":memory:", ROOT / "migrations")
        number = store.add(notes, "A", "*b*")
        self.assertEqual(store.note(notes, number), ("A", "*b*"))
        self.assertEqual(store.titles(notes), [(number, "A")])

    def test_markdown_is_shown_and_titles_are_text(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name in ("locale", "templates"):
                (root / name).symlink_to(ROOT / name)
            (root / "assets").mkdir()
            names = {"notes.css": "notes.1.css", "notes.js": "notes.1.js"}
            (root / "assets" / "manifest.json").write_text(json.dumps(names))
            page = Pages(root, "de").note("<A>", "*b*")
        self.assertIn("<h1>&lt;A&gt;</h1>", page)
        self.assertIn("<em>b</em>", page)
        self.assertIn("Alle Notizen", page)


if __name__ == "__main__":
    unittest.main()
