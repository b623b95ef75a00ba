#include "common/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/redact.h"
#include "common/version.h"
#include "common/yaml_in.h"

#define SECRET_MAX 65536

/* Sections of the file that are other binaries' own. */
static const char *const binaries[] = { "fetcher", "validator", "transformer", "loader", "orchestrator", "cli", NULL };

const struct config_key config_common_keys[] = {
	{ "kafka", CONFIG_MAP, NULL, 0, 0, NULL, "Straight to librdkafka: bootstrap.servers, security.protocol, …" },
	{ "oauth.url", CONFIG_TEXT, "", 0, 0, NULL,
	  "Token endpoint (https) for kafka.sasl.mechanism OAUTHBEARER, by client credentials." },
	{ "oauth.client_id", CONFIG_TEXT, "", 0, 0, NULL, "What this client is called there." },
	{ "oauth.client_secret", CONFIG_SECRET, NULL, 0, 0, NULL, "That client's secret." },
	{ "oauth.scope", CONFIG_TEXT, "", 0, 0, NULL, "What is asked for there, words apart; empty: its default." },
	{ "oauth.ca_file", CONFIG_TEXT, "", 0, 0, NULL, "CA certificates for it (PEM); empty: the system's." },
	{ "topics.prefix", CONFIG_TEXT, "", 0, 0, NULL,
	  "In front of every topic and group, so that pipelines can share a broker." },
	{ "topics.replication_factor", CONFIG_INT, "1", 1, 32, NULL,
	  "Of topics that `penstock topics apply` creates." },
	{ "instance", CONFIG_TEXT, "", 0, 0, NULL, "Name of this process among others; empty: the host's." },
	{ "log.level", CONFIG_TEXT, "info", 0, 0, NULL, "debug, info, warning or error." },
	{ "log.status_s", CONFIG_INT, "60", 0, 86400, "s",
	  "A worker tells what it did in so many seconds, and its memory; 0: it does not." },
	{ "http.bind", CONFIG_TEXT, "127.0.0.1", 0, 0, NULL,
	  "IPv4 address for /metrics, /healthz, /readyz and the API." },
	{ "http.port", CONFIG_INT, "0", 0, 65535, NULL, "0: a free one, written to the log." },
	{ "registry.url", CONFIG_TEXT, "", 0, 0, NULL,
	  "Schema registry of another make (Confluent's API), where schemas are registered; empty: the orchestrator's." },
	{ "registry.user", CONFIG_TEXT, "", 0, 0, NULL, "Its user, where it asks for one." },
	{ "registry.password", CONFIG_SECRET, NULL, 0, 0, NULL, "That user's password." },
	{ "registry.ca_file", CONFIG_TEXT, "", 0, 0, NULL, "CA certificates for it (PEM); empty: the system's." },
	{ "http.body_bytes", CONFIG_INT, "1048576", 1024, 1073741824, "bytes",
	  "The body of a request at most; a larger one is refused (413)." },
	{ "http.headers_bytes", CONFIG_INT, "16384", 2048, 1048576, "bytes",
	  "A request's first line and headers at most; more is refused (414, 431)." },
	{ "http.request_s", CONFIG_INT, "30", 1, 3600, "s",
	  "A request that is not there whole within this time is dropped (408), however slowly it comes." },
	{ "http.idle_s", CONFIG_INT, "30", 1, 3600, "s", "A connection on which nothing moves for so long is closed." },
	{ "http.connections", CONFIG_INT, "128", 4, 10000, "connections",
	  "At once at most; beyond, the one that has asked nothing for the longest time is closed." },
	{ "http.connections_per_address", CONFIG_INT, "64", 1, 10000, "connections", "The same, of one address." },
	{ "api.url", CONFIG_TEXT, "http://127.0.0.1:8000", 0, 0, NULL,
	  "Where the command line finds the orchestrator." },
	{ "api.token", CONFIG_SECRET, NULL, 0, 0, NULL, "Bearer token of the API." },
	{ 0 },
};

const struct config_key config_database_keys[] = {
	{ "database.dsn", CONFIG_SECRET, "dbname=penstock", 0, 0, NULL, "libpq connection string or URI." },
	{ 0 },
};

/* --- keys ------------------------------------------------------------------------------------------------------------ */

static const struct config_key *find_in(const struct config_key *keys, const char *name, size_t len)
{
	for (; keys && keys->name; keys++) {
		size_t n = strlen(keys->name);

		if (keys->type == CONFIG_MAP && len > n && name[n] == '.' && strncmp(keys->name, name, n) == 0)
			return keys;
		if (n == len && strncmp(keys->name, name, len) == 0)
			return keys;
	}
	return NULL;
}

static const struct config_key *find_key_n(const struct config_spec *spec, const char *name, size_t len)
{
	const struct config_key *key = find_in(spec->keys, name, len);

	for (unsigned i = 0; !key && spec->shared && spec->shared[i]; i++)
		key = find_in(spec->shared[i], name, len);
	return key;
}

const struct config_key *config_find_key(const struct config_spec *spec, const char *name)
{
	return find_key_n(spec, name, strlen(name));
}

char *config_env_name(const char *section, const char *key)
{
	char *name = mem_printf(ENV_PREFIX "%s%s%s", section, section[0] ? "_" : "", key);

	for (char *p = name; *p; p++)
		*p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
	return name;
}

/* --- secrets --------------------------------------------------------------------------------------------------------- */

/* Of librdkafka's: what it keeps to itself, too. */
static bool is_kafka_secret(const char *name)
{
	static const char *const parts[] = { "password", "secret", "key.pem", "oauthbearer.config" };

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(name, parts[i]))
			return true;
	return false;
}

bool config_is_secret(const struct config_key *key, const char *name)
{
	return key && (key->type == CONFIG_SECRET || (key->type == CONFIG_MAP && is_kafka_secret(name)));
}

/* The same of one value: a connection string without a password is none. */
static bool is_secret_value(const struct config_key *key, const char *name, const char *text)
{
	if (!config_is_secret(key, name) || !text[0])
		return false;
	return strcmp(name, "database.dsn") != 0 || redact_is_secret_dsn(text);
}

static void mask_in_texts(const char *name, const char *text)
{
	if (strcmp(name, "database.dsn") == 0)
		redact_add_dsn(text);
	else
		redact_add(text);
}

/* The name without it where `api.token_file` names a file that holds `api.token`, else NULL. Owned by the caller. */
static char *without_file(const struct config_spec *spec, const char *name)
{
	static const char suffix[] = "_file";
	size_t len = strlen(name), n = sizeof(suffix) - 1;
	CLEANUP(freep) char *base = len > n ? mem_strndup(name, len - n) : NULL;

	if (!base || strcmp(name + len - n, suffix) != 0 || !config_is_secret(config_find_key(spec, base), base))
		return NULL;
	return STEAL(base);
}

void config_each_key(const struct config_spec *spec, void (*visit)(void *self, const struct config_key *key, bool own),
		     void *self)
{
	for (const struct config_key *key = spec->keys; key && key->name; key++)
		visit(self, key, true);
	for (unsigned i = 0; spec->shared && spec->shared[i]; i++)
		for (const struct config_key *key = spec->shared[i]; key->name; key++)
			if (!find_in(spec->keys, key->name, strlen(key->name)))
				visit(self, key, false);
}

/* --- values ---------------------------------------------------------------------------------------------------------- */

static struct value *find_value(const struct config *cfg, const char *name)
{
	for (unsigned i = 0; i < cfg->count; i++)
		if (strcmp(cfg->values[i].name, name) == 0)
			return &cfg->values[i];
	return NULL;
}

static void store(struct config *cfg, const char *name, const char *text, const char *where, enum origin origin)
{
	struct value *value = find_value(cfg, name);

	if (value && value->origin > origin)
		return;
	if (!value) {
		if (cfg->count == cfg->cap) {
			cfg->cap = cfg->cap ? cfg->cap * 2 : 32;
			cfg->values = mem_realloc(cfg->values, cfg->cap, sizeof(*cfg->values));
		}
		value = &cfg->values[cfg->count++];
		*value = (struct value){ .name = mem_strdup(name) };
	}
	if (config_is_secret(config_find_key(cfg->spec, name), name))
		mask_in_texts(name, text);
	free(value->text);
	free(value->where);
	value->text = mem_strdup(text);
	value->where = mem_strdup(where);
	value->origin = origin;
}

static int check_int(const struct config_key *key, const char *text, struct err *err)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return err_set(err, ERR_FATAL, "%s: '%s' is not a whole number", key->name, text);
	if ((key->min || key->max) && (v < key->min || v > key->max))
		return err_set(err, ERR_FATAL, "%s: %s is not between %lld and %lld%s%s", key->name, text,
			       (long long)key->min, (long long)key->max, key->unit ? " " : "",
			       key->unit ? key->unit : "");
	return 0;
}

static int check_value(const struct config_key *key, const char *text, struct err *err)
{
	if (key->type == CONFIG_INT)
		return check_int(key, text, err);
	if (key->type == CONFIG_BOOL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(err, ERR_FATAL, "%s: '%s' is neither true nor false", key->name, text);
	return 0;
}

static void closep(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* The first line of a secret's file. */
static int read_secret(const char *path, char **ret, struct err *err)
{
	CLEANUP(closep) FILE *in = fopen(path, "r");
	CLEANUP(freep) char *text = mem_alloc(SECRET_MAX);

	if (!in || !fgets(text, SECRET_MAX, in))
		return err_set(err, ERR_FATAL, "%s: %s", path, in ? "empty" : strerror(errno));
	text[strcspn(text, "\r\n")] = '\0';
	*ret = STEAL(text);
	return 0;
}

/* Everybody on the machine sees arguments. */
static int refuse_argument(const char *name, struct err *err)
{
	CLEANUP(freep) char *variable = config_env_name("", name);

	return err_set(err, ERR_FATAL,
		       "--set %s: a secret does not belong into arguments, where `ps` shows it: set %s, or name a file "
		       "that holds it: --set %s_file=FILE",
		       name, variable, name);
}

/* One assignment from anywhere; 1: no such key. */
static int assign(struct config *cfg, const char *name, const char *text, const char *where, enum origin origin,
		  struct err *err)
{
	const struct config_key *key = config_find_key(cfg->spec, name);
	CLEANUP(freep) char *secret = NULL, *base = without_file(cfg->spec, name);

	if (base) {
		if (read_secret(text, &secret, err))
			return err_wrap(err, "%s: %s", where, name);
		store(cfg, base, secret, where, origin);
		return 0;
	}
	if (!key || (key->type == CONFIG_MAP && strcmp(key->name, name) == 0))
		return 1;
	if (check_value(key, text, err))
		return err_wrap(err, "%s", where);
	if (is_secret_value(key, name, text) && origin == ORIGIN_SET)
		return refuse_argument(name, err);
	store(cfg, name, text, where, origin);
	return 0;
}

int config_set(struct config *cfg, const char *assignment, struct err *err)
{
	const char *equals = strchr(assignment, '=');
	CLEANUP(freep) char *name = equals ? mem_strndup(assignment, (size_t)(equals - assignment)) : NULL;
	int r;

	if (!equals)
		return err_set(err, ERR_FATAL, "--set takes KEY=VALUE, not '%s'", assignment);
	r = assign(cfg, name, equals + 1, "--set", ORIGIN_SET, err);
	return r == 1 ? err_set(err, ERR_FATAL, "--set: unknown key '%s' (see --help)", name) : r;
}

/* --- the file -------------------------------------------------------------------------------------------------------- */

struct file {
	struct config *cfg;
	const struct yaml_doc *doc;
	const char *path;
};

static bool is_binary(const char *name)
{
	for (const char *const *b = binaries; *b; b++)
		if (strcmp(*b, name) == 0)
			return true;
	return false;
}

/* Keys of shared sections that this binary has no use for, but another has. */
static bool known_elsewhere(const char *name)
{
	return find_in(config_common_keys, name, strlen(name)) || find_in(config_database_keys, name, strlen(name)) ||
	       strcmp(name, "database.dsn_file") == 0 || strcmp(name, "api.token_file") == 0;
}

static int read_node(struct file *file, const char *name, const struct yaml_node *node, enum origin origin,
		     struct err *err)
{
	CLEANUP(freep) char *where = NULL;
	int r;

	if (yaml_kind(node) == YAML_LIST)
		return yaml_error(file->doc, node, err, "%s takes a single value", name);
	if (yaml_kind(node) == YAML_MAP) {
		for (unsigned i = 0; i < yaml_count(node); i++) {
			CLEANUP(freep) char *child = mem_printf("%s.%s", name, yaml_key(file->doc, node, i));

			if (read_node(file, child, yaml_value(file->doc, node, i), origin, err))
				return -1;
		}
		return 0;
	}
	where = mem_printf("%s:%u", file->path, yaml_line(node));
	r = assign(file->cfg, name, yaml_text(node), where, origin, err);
	if (r != 1)
		return r;
	if (origin == ORIGIN_FILE && known_elsewhere(name))
		return 0;
	return yaml_error(file->doc, node, err, "unknown key '%s'%s%s; --help lists the keys", name,
			  origin == ORIGIN_OWN_SECTION ? " in section " : "",
			  origin == ORIGIN_OWN_SECTION ? file->cfg->spec->binary : "");
}

static int read_section(struct file *file, const char *key, const struct yaml_node *node, struct err *err)
{
	if (strcmp(key, file->cfg->spec->binary) == 0) {
		for (unsigned i = 0; i < yaml_count(node); i++)
			if (read_node(file, yaml_key(file->doc, node, i), yaml_value(file->doc, node, i),
				      ORIGIN_OWN_SECTION, err))
				return -1;
		return 0;
	}
	return is_binary(key) ? 0 : read_node(file, key, node, ORIGIN_FILE, err);
}

static int read_file(struct config *cfg, const char *path, struct err *err)
{
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;
	struct file file = { .cfg = cfg, .path = path };
	const struct yaml_node *root;

	if (yaml_read_file(&doc, path, err))
		return -1;
	file.doc = doc;
	root = yaml_root(doc);
	if (!root)
		return 0;
	if (yaml_kind(root) != YAML_MAP)
		return yaml_error(doc, root, err, "sections are needed here: kafka, database, loader, …");
	for (unsigned i = 0; i < yaml_count(root); i++)
		if (read_section(&file, yaml_key(doc, root, i), yaml_value(doc, root, i), err))
			return -1;
	return 0;
}

/* --- the environment ------------------------------------------------------------------------------------------------- */

struct env {
	struct config *cfg;
	struct err *err;
	int r;
};

static void read_env_one(struct env *env, const struct config_key *key, const char *section, enum origin origin)
{
	CLEANUP(freep) char *name = config_env_name(section, key->name);
	CLEANUP(freep) char *file_name = mem_printf("%s_FILE", name);
	CLEANUP(freep) char *file_key = mem_printf("%s_file", key->name);
	const char *text = getenv(name), *path = key->type == CONFIG_SECRET ? getenv(file_name) : NULL;

	if (env->r == 0 && path)
		env->r = assign(env->cfg, file_key, path, file_name, origin, env->err);
	if (env->r == 0 && text)
		env->r = assign(env->cfg, key->name, text, name, origin, env->err);
}

static void read_env_key(void *self, const struct config_key *key, bool own)
{
	struct env *env = self;

	if (key->type == CONFIG_MAP)
		return;
	if (!own)
		read_env_one(env, key, "", ORIGIN_ENVIRONMENT);
	read_env_one(env, key, env->cfg->spec->binary, ORIGIN_ENVIRONMENT_OWN);
}

/* A name from the environment has dots for every underscore: also where a file's name is meant. */
static void restore_file(const struct config_spec *spec, char *key)
{
	char *dot = strrchr(key, '.');
	CLEANUP(freep) char *base = NULL;

	if (!dot || strcmp(dot, ".file") != 0)
		return;
	*dot = '_';
	base = without_file(spec, key);
	if (!base)
		*dot = '.';
}

/* PENSTOCK_KAFKA_BOOTSTRAP_SERVERS: a map's keys are whatever the environment has below its name. */
static int read_env_map(struct config *cfg, const char *map, struct err *err)
{
	CLEANUP(freep) char *prefix = config_env_name("", map);
	size_t n = strlen(prefix);

	for (char **e = environ; *e; e++) {
		const char *equals = strchr(*e, '=');
		CLEANUP(freep) char *name = equals ? mem_strndup(*e, (size_t)(equals - *e)) : NULL;
		CLEANUP(freep) char *key = NULL;

		if (!equals || strncmp(*e, prefix, n) != 0 || (*e)[n] != '_')
			continue;
		key = mem_printf("%s.%.*s", map, (int)(equals - *e - (long)n - 1), *e + n + 1);
		for (char *p = key; *p; p++)
			*p = *p == '_' ? '.' : (char)tolower((unsigned char)*p);
		restore_file(cfg->spec, key);
		if (assign(cfg, key, equals + 1, name, ORIGIN_ENVIRONMENT, err) < 0)
			return -1;
	}
	return 0;
}

static int read_env(struct config *cfg, struct err *err)
{
	struct env env = { .cfg = cfg, .err = err };

	config_each_key(cfg->spec, read_env_key, &env);
	return env.r ? env.r : read_env_map(cfg, "kafka", err);
}

/* --- opening --------------------------------------------------------------------------------------------------------- */

static void store_default(void *self, const struct config_key *key, bool own)
{
	(void)own;
	if (key->type != CONFIG_MAP)
		store(self, key->name, key->fallback ? key->fallback : "", "default", ORIGIN_DEFAULT);
}

const char *config_default_file(void)
{
	const char *path = getenv(ENV_PREFIX "CONFIG");

	if (path && path[0])
		return path;
	if (access(CONFIG_HERE, R_OK) == 0)
		return CONFIG_HERE;
	return access(CONFIG_SYSTEM, R_OK) == 0 ? CONFIG_SYSTEM : NULL;
}

int config_open(struct config **ret, const struct config_spec *spec, const char *file, struct err *err)
{
	CLEANUP(config_freep) struct config *cfg = mem_zalloc(1, sizeof(*cfg));

	cfg->spec = spec;
	config_each_key(spec, store_default, cfg);
	if (!file)
		file = config_default_file();
	if ((file && read_file(cfg, file, err)) || read_env(cfg, err))
		return -1;
	*ret = STEAL(cfg);
	return 0;
}

void config_freep(struct config **pointer)
{
	struct config *cfg = *pointer;

	if (!cfg)
		return;
	for (unsigned i = 0; i < cfg->count; i++) {
		free(cfg->values[i].name);
		free(cfg->values[i].text);
		free(cfg->values[i].where);
	}
	free(cfg->values);
	free(cfg);
	*pointer = NULL;
}

/* --- the command line ------------------------------------------------------------------------------------------------ */

struct arguments {
	const char *file;
	char **sets;
	int set_count;
	bool help, man, check, show, version;
};

static int parse_arguments(struct arguments *a, int argc, char **argv, struct err *err)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			a->help = true;
		else if (strcmp(argv[i], "--man") == 0)
			a->man = true;
		else if (strcmp(argv[i], "--check") == 0)
			a->check = true;
		else if (strcmp(argv[i], "--show-config") == 0)
			a->show = true;
		else if (strcmp(argv[i], "--version") == 0)
			a->version = true;
		else if (strcmp(argv[i], "--config") == 0 && more)
			a->file = argv[++i];
		else if (strcmp(argv[i], "--set") == 0 && more)
			a->sets[a->set_count++] = argv[++i];
		else
			return err_set(err, ERR_FATAL, "unknown or incomplete argument '%s' (see --help)", argv[i]);
	}
	return 0;
}

static enum config_outcome bad(const struct config_spec *spec, const struct err *err)
{
	fprintf(stderr, "penstock-%s: %s\n", spec->binary, err->text);
	return CONFIG_BAD;
}

enum config_outcome config_load(struct config **ret, const struct config_spec *spec, config_check_fn *check, int argc,
				char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	CLEANUP(freep) char **sets = mem_zalloc((size_t)argc + 1, sizeof(*sets));
	struct arguments a = { .sets = sets };
	struct err err = ERR_INIT;

	if (parse_arguments(&a, argc, argv, &err))
		return bad(spec, &err);
	if (a.help)
		return config_print_help(spec), CONFIG_EXIT;
	if (a.man)
		return config_print_man(spec), CONFIG_EXIT;
	if (a.version)
		return printf("penstock-%s " PENSTOCK_VERSION "\n", spec->binary), CONFIG_EXIT;
	if (config_open(&cfg, spec, a.file, &err))
		return bad(spec, &err);
	for (int i = 0; i < a.set_count; i++)
		if (config_set(cfg, a.sets[i], &err))
			return bad(spec, &err);
	if (a.show) /* also what is wrong with it is found there */
		config_print_values(cfg);
	if (check(cfg, &err))
		return bad(spec, &err);
	if (a.check)
		printf("penstock-%s: configuration is good\n", spec->binary);
	if (a.show || a.check)
		return CONFIG_EXIT;
	*ret = STEAL(cfg);
	return CONFIG_RUN;
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

const char *config_text(const struct config *cfg, const char *key)
{
	const struct value *value = find_value(cfg, key);

	if (!value) {
		fprintf(stderr, "configuration key %s is in no table\n", key);
		abort();
	}
	return value->text;
}

int64_t config_int(const struct config *cfg, const char *key)
{
	return strtoll(config_text(cfg, key), NULL, 10);
}

bool config_bool(const struct config *cfg, const char *key)
{
	return strcmp(config_text(cfg, key), "true") == 0;
}

int config_map(const struct config *cfg, const char *map, config_map_fn *fn, void *self, struct err *err)
{
	size_t n = strlen(map);

	for (unsigned i = 0; i < cfg->count; i++) {
		const struct value *v = &cfg->values[i];

		if (strncmp(v->name, map, n) == 0 && v->name[n] == '.' && fn(self, v->name + n + 1, v->text, err))
			return err_wrap(err, "%s", v->where);
	}
	return 0;
}
