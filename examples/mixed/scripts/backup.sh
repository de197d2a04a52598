#!/bin/sh
# Copies the database while it is in use.
set -eu
mkdir -p /data/backup
exec python -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))' \
    /data/notes.db "/data/backup/$(date +%F).db"
