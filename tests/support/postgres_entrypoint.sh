#!/bin/sh
# What the entrypoint of the official image `postgres` does, as far as the provider relies on it.
set -eu

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Word splitting is meant: these are arguments.
  printf '%s\n' "$POSTGRES_PASSWORD" |
    initdb --username="$POSTGRES_USER" --pwfile=/dev/stdin ${POSTGRES_INITDB_ARGS:-}
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  # A first server, which only this script can reach, says that it is ready, and ends again.
  pg_ctl --wait --options="-c listen_addresses=''" start
  if [ "${POSTGRES_DB:-$POSTGRES_USER}" != postgres ]; then
    psql --username="$POSTGRES_USER" --dbname=postgres \
      --command="create database \"${POSTGRES_DB:-$POSTGRES_USER}\""
  fi
  pg_ctl --wait --mode=fast stop
fi

exec "$@"
