#!/bin/sh
# Run by the image once, when it makes the database: the role that the daemons work in. The tables belong to POSTGRES_USER.
set -eu
psql --quiet --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_DAEMON_PASSWORD" --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
CREATE ROLE resultity_daemon LOGIN PASSWORD :'password';
SQL
