#pragma once
/* TimescaleDB's part of the database: what `penstock db migrate` made becomes hypertables where the server has the extension. */
int command_db_timescale_apply(int argc, char **argv);
int command_db_timescale_check(int argc, char **argv);
int command_db_timescale_status(int argc, char **argv);
