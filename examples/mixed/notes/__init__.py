"""Notes in Markdown, kept in SQLite and shown as pages."""
