#!/bin/sh
# Stands in for Envoy: notes with what Envoy Gateway starts it, for a test that then starts Envoy
# itself, and stays.
printf '%s\n\0' "$@" > "$WORK/started.new"
mv "$WORK/started.new" "$WORK/started"
exec sleep infinity
