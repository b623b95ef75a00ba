#!/bin/sh
# Run once, by the database's image, when its cluster is made: the role and the database of penstock. The role owns what it
# makes and nothing else.
set -eu
psql -v ON_ERROR_STOP=1 -qX -U "$POSTGRES_USER" -d postgres <<'SQL'
\set password `cat /run/secrets/database_password`
CREATE ROLE penstock LOGIN PASSWORD :'password';
CREATE DATABASE penstock OWNER penstock;
SQL
