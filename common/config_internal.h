#pragma once
/* Shared by config.c (where values come from) and config_shown.c (how they are shown). */
#include "common/config.h"

#define ENV_PREFIX "PENSTOCK_"

/* Whence a value came; a higher one wins. */
enum origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_OWN_SECTION, ORIGIN_ENVIRONMENT, ORIGIN_ENVIRONMENT_OWN, ORIGIN_SET };

struct value {
	char *name; /* full: "kafka.bootstrap.servers" */
	char *text;
	char *where; /* "default", "var/penstock.yaml:3", "PENSTOCK_…", "--set" */
	enum origin origin;
};

struct config {
	const struct config_spec *spec;
	struct value *values;
	unsigned count, cap;
};

const struct config_key *config_find_key(const struct config_spec *spec, const char *name);
/* Calls visit for every key of the binary: its own first. */
void config_each_key(const struct config_spec *spec, void (*visit)(void *self, const struct config_key *key, bool own),
		     void *self);
/* Never shown; what librdkafka keeps to itself, too. */
bool config_is_secret(const struct config_key *key, const char *name);
/* PENSTOCK_LOADER_BATCH_MS of "loader", "batch_ms"; section "" for what is shared. Owned by the caller. */
char *config_env_name(const char *section, const char *key);

void config_print_help(const struct config_spec *spec);
void config_print_man(const struct config_spec *spec);
void config_print_values(const struct config *cfg);
