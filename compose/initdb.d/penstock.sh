#!/bin/sh
# Run by the database's image, once, when its cluster is made; again does no harm. The role and the database of penstock: the role
# owns what it makes and nothing else. Loader and orchestrator log in as themselves, and may do what schemas/roles.sql says;
# `penstock db migrate` grants it.
set -eu
psql -v ON_ERROR_STOP=1 -qX -U "$POSTGRES_USER" -d postgres <<'SQL'
SET client_min_messages = warning;
\set password `cat /run/secrets/database_password`
\set loader `cat /run/secrets/loader_password`
\set orchestrator `cat /run/secrets/orchestrator_password`
SELECT format('CREATE ROLE %I', name)
  FROM unnest('{penstock,loader,orchestrator,penstock_loader,penstock_orchestrator,penstock_operator,penstock_reader}'::text[]) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE penstock LOGIN PASSWORD :'password';
ALTER ROLE loader LOGIN PASSWORD :'loader';
ALTER ROLE orchestrator LOGIN PASSWORD :'orchestrator';
GRANT penstock_loader TO loader;
GRANT penstock_orchestrator, penstock_operator TO orchestrator;
SELECT 'CREATE DATABASE penstock OWNER penstock' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'penstock') \gexec
SQL
