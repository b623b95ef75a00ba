#include "stages/validator/installed.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/validator/rule_files.h"

#define SETS_SEEN_MAX 64 /* of each record type, by the metric */
#define LIST_MAX 1024
#define ALL_TYPES ((1u << DATA_TYPES) - 1)

struct installed {
	char *folder;
	struct ruleset *sets[DATA_TYPES];
	struct metric *rows[DATA_TYPES];
};

static struct metric set_rows[DATA_TYPES * SETS_SEEN_MAX + 1];
struct metric_family installed_sets = {
	.name = "penstock_validator_rule_set",
	.type = METRIC_GAUGE,
	.help = "1 for the rule set that judges a record type now, 0 for those that did before.",
	.others = "type=\"other\",rule_set=\"other\"",
	.rows = set_rows,
	.max = DATA_TYPES * SETS_SEEN_MAX + 1,
};

static volatile sig_atomic_t asked;

/* For the HTTP server's thread. */
static struct {
	pthread_mutex_t lock;
	struct shown_set {
		char version[96], place[400];
		unsigned number;
	} sets[DATA_TYPES];
	int64_t since_ns;   /* 0: nothing is installed yet */
	int64_t refused_ns; /* 0: nothing was refused since */
	char refused[480];
} shown = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- asking ------------------------------------------------------------------------------------------------------------- */

static void on_hangup(int signal_number)
{
	(void)signal_number;
	asked = 1;
}

void installed_watch(void)
{
	const struct sigaction action = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };

	sigaction(SIGHUP, &action, NULL);
}

/* --- sets --------------------------------------------------------------------------------------------------------------- */

static void free_sets(struct ruleset *sets[DATA_TYPES])
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		ruleset_freep(&sets[id]);
}

static int read_sets(struct ruleset *sets[DATA_TYPES], const char *folder, struct err *err)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (rule_file_open(&sets[id], folder, &data_types[id], err)) {
			free_sets(sets);
			return -1;
		}
	return 0;
}

static void show(const struct installed *installed)
{
	pthread_mutex_lock(&shown.lock);
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		CLEANUP(freep) char *place = rule_file_place(installed->folder, &data_types[id]);
		struct shown_set *set = &shown.sets[id];

		snprintf(set->version, sizeof(set->version), "%s", ruleset_version(installed->sets[id]));
		snprintf(set->place, sizeof(set->place), "%s", place);
		set->number = ruleset_number(installed->sets[id]);
	}
	shown.since_ns = clock_now_ns();
	shown.refused_ns = 0;
	pthread_mutex_unlock(&shown.lock);
}

static void count_set(struct installed *installed, unsigned id)
{
	CLEANUP(freep)
	char *labels =
		mem_printf("type=\"%s\",rule_set=\"%s\"", data_types[id].name, ruleset_version(installed->sets[id]));

	if (installed->rows[id])
		metric_set(installed->rows[id], 0);
	installed->rows[id] = metric_family_row(&installed_sets, labels);
	metric_set(installed->rows[id], 1);
}

/* "ohlcv ohlcv@1-1a2b3c4d, trades …" */
static void put_versions(const struct installed *installed, unsigned which, struct buf *out)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (which >> id & 1)
			buf_printf(out, "%s%s %s", out->len ? ", " : "", data_types[id].name,
				   ruleset_version(installed->sets[id]));
}

/* To the log, the metric and whoever asks. */
static void tell(struct installed *installed, unsigned which)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (which >> id & 1)
			count_set(installed, id);
	show(installed);
	put_versions(installed, which, &list);
	log_info("rules_installed", LOG_FIELDS(log_str("rule_sets", buf_text(&list))), "records are judged by: %s",
		 buf_text(&list));
}

int installed_open(struct installed **ret, const char *folder, struct err *err)
{
	CLEANUP(installed_freep) struct installed *installed = mem_zalloc(1, sizeof(*installed));

	installed->folder = mem_strdup(folder);
	if (read_sets(installed->sets, folder, err))
		return -1;
	tell(installed, ALL_TYPES);
	*ret = STEAL(installed);
	return 0;
}

void installed_freep(struct installed **installed)
{
	if (!*installed)
		return;
	free_sets((*installed)->sets);
	free((*installed)->folder);
	free(*installed);
	*installed = NULL;
}

const struct ruleset *installed_set(const struct installed *installed, enum data_type_id type)
{
	return installed->sets[type];
}

/* --- others ------------------------------------------------------------------------------------------------------------- */

static enum installed_outcome refuse(const struct installed *installed, const struct err *why)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(LIST_MAX);

	put_versions(installed, ALL_TYPES, &list);
	pthread_mutex_lock(&shown.lock);
	snprintf(shown.refused, sizeof(shown.refused), "%s", why->text);
	shown.refused_ns = clock_now_ns();
	pthread_mutex_unlock(&shown.lock);
	log_error("rules_refused", LOG_FIELDS(log_str("rule_sets", buf_text(&list))), "%s; the rules stay as they are",
		  why->text);
	return INSTALLED_REFUSED;
}

/* Those that differ change places; what was there is in `sets` then. */
static unsigned take_over(struct installed *installed, struct ruleset *sets[DATA_TYPES])
{
	unsigned changed = 0;

	for (unsigned id = 0; id < DATA_TYPES; id++) {
		struct ruleset *old = installed->sets[id];

		if (strcmp(ruleset_version(old), ruleset_version(sets[id])) == 0)
			continue;
		installed->sets[id] = sets[id];
		sets[id] = old;
		changed |= 1u << id;
	}
	return changed;
}

enum installed_outcome installed_look(struct installed *installed, unsigned *ret_changed)
{
	struct ruleset *sets[DATA_TYPES] = { NULL };
	struct err err = ERR_INIT;

	*ret_changed = 0;
	if (!asked)
		return INSTALLED_NOT_ASKED;
	asked = 0; /* before the look: a signal meanwhile is about what may be there by then */
	if (rule_files_check_names(installed->folder, &err) || read_sets(sets, installed->folder, &err))
		return refuse(installed, &err);
	*ret_changed = take_over(installed, sets);
	free_sets(sets);
	if (*ret_changed) {
		tell(installed, *ret_changed);
		return INSTALLED_OTHERS;
	}
	show(installed);
	log_info("rules_unchanged", NULL, "the rules are what they were%s",
		 *installed->folder ? "" : ": rules.folder is not set, and all of them are built in");
	return INSTALLED_SAME;
}

/* --- HTTP --------------------------------------------------------------------------------------------------------------- */

static void put_text(struct json_out *json, const char *key, const char *text)
{
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void put_time(struct json_out *json, const char *key, int64_t ns)
{
	json_put_key(json, key);
	if (ns)
		json_put_time(json, ns);
	else
		json_put_null(json);
}

static void put_sets(struct json_out *json)
{
	json_put_key(json, "rule_sets");
	json_put_open(json, '[');
	for (unsigned id = 0; shown.since_ns && id < DATA_TYPES; id++) {
		json_put_open(json, '{');
		put_text(json, "record_type", data_types[id].name);
		put_text(json, "rule_set", shown.sets[id].version);
		json_put_key(json, "number");
		json_put_int(json, shown.sets[id].number);
		put_text(json, "place", shown.sets[id].place);
		json_put_close(json, '}');
	}
	json_put_close(json, ']');
}

void installed_serve(void *unused, const struct http_request *request, struct http_response *response)
{
	struct json_out json = JSON_OUT(&response->body);

	(void)unused;
	if (strcmp(request->path, "/rules") != 0 ||
	    (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)) {
		response->status = 404;
		response->content_type = "text/plain";
		buf_put_text(&response->body, "not found\n");
		return;
	}
	response->content_type = "application/json";
	pthread_mutex_lock(&shown.lock);
	json_put_open(&json, '{');
	put_sets(&json);
	put_time(&json, "installed_at", shown.since_ns);
	put_time(&json, "refused_at", shown.refused_ns);
	put_text(&json, "refused", shown.refused_ns ? shown.refused : "");
	json_put_close(&json, '}');
	pthread_mutex_unlock(&shown.lock);
	buf_put_u8(&response->body, '\n');
}
