"""The notes, in a database that migrations/ bring up to date."""

import sqlite3
from pathlib import Path


def open_store(path: str, migrations: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path)
    done = store.execute("PRAGMA user_version").fetchone()[0]
    for number, file in enumerate(sorted(migrations.glob("*.sql")), start=1):
        if number > done:
            store.executescript(file.read_text())
            store.execute(f"PRAGMA user_version = {number}")
    store.commit()
    return store


def add(store: sqlite3.Connection, title: str, text: str) -> int:
    cursor = store.execute("INSERT INTO note (title, text) VALUES (?, ?)", (title, text))
    store.commit()
    return cursor.lastrowid


def titles(store: sqlite3.Connection) -> list[tuple[int, str]]:
    return store.execute("SELECT id, title FROM note ORDER BY title").fetchall()


def note(store: sqlite3.Connection, number: int) -> tuple[str, str] | None:
    return store.execute("SELECT title, text FROM note WHERE id = ?", (number,)).fetchone()
