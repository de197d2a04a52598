#!/bin/sh
# Runs the server, or a command that is given.
set -eu
[ $# -gt 0 ] || set -- python -m notes
exec "$@"
