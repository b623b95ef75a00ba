#pragma once
/*
 * One table of keys per binary drives the YAML file, the environment, --set,
 * --help, --check and --show-config. Precedence, highest first: --set,
 * environment, file, default.
 *
 * The file (--config FILE, $PENSTOCK_CONFIG, ./var/penstock.yaml of a checkout,
 * /etc/penstock/penstock.yaml, the first that is said or there) is one for all binaries: sections `kafka`, `database`,
 * `topics`, `log`, `http`, `api` are shared, and a section named after a
 * binary (`loader:`) holds that binary's own keys and may override a shared
 * one (`loader: {log: {level: debug}}`). A key that no table knows is an
 * error that names the file and the line.
 *
 * In the environment a key is PENSTOCK_ plus its name in capitals with dots
 * as underscores, the binary's name in front where the key is its own:
 * PENSTOCK_LOADER_BATCH_RECORDS_MAX, PENSTOCK_KAFKA_BOOTSTRAP_SERVERS.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum config_type {
	CONFIG_TEXT,
	CONFIG_INT,
	CONFIG_BOOL,
	CONFIG_SECRET, /* masked wherever it is shown; KEY_FILE in the environment names a file */
	CONFIG_MAP,    /* any keys below it, handed on as they are */
};

struct config_key {
	const char *name; /* "batch.records_max" */
	enum config_type type;
	const char *fallback; /* the default as text; NULL: none, "" when read */
	int64_t min, max;     /* CONFIG_INT; both 0: any */
	const char *unit;
	const char *help;
};

struct config;

/* Tables end with a key whose name is NULL. The binary's name is its section. */
struct config_spec {
	const char *binary;
	const char *summary;                    /* first line of --help */
	const struct config_key *keys;          /* its own keys */
	const struct config_key *const *shared; /* NULL-terminated list of shared tables */
};

#define CONFIG_HERE "./var/penstock.yaml"
#define CONFIG_SYSTEM "/etc/penstock/penstock.yaml"
#define CONFIG_PLACES "$PENSTOCK_CONFIG, else " CONFIG_HERE ", else " CONFIG_SYSTEM

extern const struct config_key config_common_keys[];   /* log.level, topics.*, kafka map, http.* */
extern const struct config_key config_database_keys[]; /* database.* */

/* What the command line asked for. CONFIG_EXIT: --help, --check or --show-config was answered; exit 0. */
enum config_outcome { CONFIG_RUN, CONFIG_EXIT, CONFIG_BAD };

/* What the tables cannot know: a library's say about its own keys. */
typedef int config_check_fn(const struct config *cfg, struct err *err);

/* Prints help or the error's text itself where the outcome is not CONFIG_RUN. */
enum config_outcome config_load(struct config **ret_cfg, const struct config_spec *spec, config_check_fn *check,
				int argc, char **argv);

/* The same without a command line: tools that parse their own arguments. `file` may be NULL. */
int config_open(struct config **ret_cfg, const struct config_spec *spec, const char *file, struct err *err);

/* $PENSTOCK_CONFIG, else the first of the others that is there; NULL: none is. */
const char *config_default_file(void);

/* "key=value", as --set takes it. */
int config_set(struct config *cfg, const char *assignment, struct err *err);

void config_freep(struct config **cfg);

/* The key must be in the tables; the value is checked at load. */
const char *config_text(const struct config *cfg, const char *key);
int64_t config_int(const struct config *cfg, const char *key);
bool config_bool(const struct config *cfg, const char *key);

/* Every key below a CONFIG_MAP, without the map's own name. What fn says is wrong with a key is told with its place. */
typedef int config_map_fn(void *self, const char *key, const char *value, struct err *err);
int config_map(const struct config *cfg, const char *map, config_map_fn *fn, void *self, struct err *err);
