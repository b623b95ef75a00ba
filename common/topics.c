#include "common/topics.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/embed.h"
#include "common/kafka_admin.h"
#include "common/mem.h"
#include "common/yaml_in.h"

#define TOPICS_FILE "topics/topics.yaml"
#define TOPICS_MAX 64
#define HEARSAY_NS (3 * NS_PER_SECOND)
#define HEARSAY_STEP_MS 100
#define PARTITIONS_MAX 4096
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define NUMBER_TEXT 24
#define MIB (INT64_C(1024) * 1024)

struct topics {
	struct topic list[TOPICS_MAX];
	unsigned count;
	char *prefix;
	char *names[TOPICS_MAX]; /* of groups that were asked for */
	unsigned name_count;
};

/* --- the table ------------------------------------------------------------------------------------------------------- */

/* "3d", "compact" */
static bool parse_retention(const char *text, int64_t *ret_ms)
{
	char unit = '\0';
	long n = 0;

	if (strcmp(text, "compact") == 0) {
		*ret_ms = -1;
		return true;
	}
	if (sscanf(text, "%ld%c", &n, &unit) != 2 || n <= 0 || unit != 'd')
		return false;
	*ret_ms = n * DAY_MS;
	return true;
}

static bool parse_mib(const char *text, int64_t *ret_bytes)
{
	char unit[4] = "";
	long n = 0;

	if (sscanf(text, "%ld%3s", &n, unit) != 2 || n <= 0 || strcmp(unit, "MiB") != 0)
		return false;
	*ret_bytes = n * MIB;
	return true;
}

static int read_groups(const struct yaml_doc *doc, const struct yaml_node *list, const char *prefix,
		       struct topic *topic, struct err *err)
{
	for (unsigned i = 0; list && i < yaml_count(list); i++) {
		if (topic->group_count == TOPIC_GROUPS_MAX)
			return yaml_error(doc, list, err, "more than %d groups", TOPIC_GROUPS_MAX);
		topic->groups[topic->group_count++] = mem_printf("%s%s", prefix, yaml_text(yaml_item(doc, list, i)));
	}
	return 0;
}

static int read_topic(const struct yaml_doc *doc, const struct yaml_node *node, const char *prefix, struct topic *topic,
		      struct err *err)
{
	static const char *const keys[] = { "name",        "partitions", "key",    "schema", "retention",
					    "max_message", "producer",   "groups", NULL };
	const char *name, *partitions, *schema, *retention, *message, *producer;

	if (yaml_check_keys(doc, node, keys, err) || yaml_get_text(doc, node, "name", "", &name, err) ||
	    yaml_get_text(doc, node, "partitions", "", &partitions, err) ||
	    yaml_get_text(doc, node, "schema", "", &schema, err) ||
	    yaml_get_text(doc, node, "retention", "", &retention, err) ||
	    yaml_get_text(doc, node, "max_message", "", &message, err) ||
	    yaml_get_text(doc, node, "producer", "", &producer, err))
		return -1;
	topic->base = mem_strdup(name);
	topic->name = mem_printf("%s%s", prefix, name);
	topic->schema = mem_strdup(schema);
	topic->producer = mem_strdup(producer);
	topic->partitions = (int32_t)strtol(partitions, NULL, 10);
	if (topic->partitions < 1 || topic->partitions > PARTITIONS_MAX)
		return yaml_error(doc, node, err, "topic %s: partitions: 1 to %d", name, PARTITIONS_MAX);
	if (!parse_retention(retention, &topic->retention_ms))
		return yaml_error(doc, node, err, "topic %s: retention: days (3d) or compact", name);
	if (!parse_mib(message, &topic->message_bytes_max))
		return yaml_error(doc, node, err, "topic %s: max_message: MiB (1MiB)", name);
	return read_groups(doc, yaml_get(doc, node, "groups"), prefix, topic, err);
}

int topics_open(struct topics **ret, const struct config *cfg, struct err *err)
{
	CLEANUP(topics_freep) struct topics *topics = mem_zalloc(1, sizeof(*topics));
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;
	const struct yaml_node *list;

	topics->prefix = mem_strdup(config_text(cfg, "topics.prefix"));
	if (yaml_read(&doc, TOPICS_FILE, embed_find(TOPICS_FILE), err))
		return -1;
	list = yaml_get(doc, yaml_root(doc), "topics");
	if (!list || yaml_kind(list) != YAML_LIST || yaml_count(list) > TOPICS_MAX)
		return err_set(err, ERR_FATAL, TOPICS_FILE ": a list of at most %d topics is needed", TOPICS_MAX);
	for (unsigned i = 0; i < yaml_count(list); i++)
		if (read_topic(doc, yaml_item(doc, list, i), topics->prefix, &topics->list[topics->count++], err))
			return -1;
	*ret = STEAL(topics);
	return 0;
}

static void release_topic(struct topic *topic)
{
	free(topic->name);
	free(topic->base);
	free(topic->schema);
	free(topic->producer);
	for (unsigned i = 0; i < topic->group_count; i++)
		free(topic->groups[i]);
}

void topics_freep(struct topics **pointer)
{
	struct topics *topics = *pointer;

	if (!topics)
		return;
	for (unsigned i = 0; i < topics->count; i++)
		release_topic(&topics->list[i]);
	for (unsigned i = 0; i < topics->name_count; i++)
		free(topics->names[i]);
	free(topics->prefix);
	free(topics);
	*pointer = NULL;
}

unsigned topics_count(const struct topics *topics)
{
	return topics->count;
}

const struct topic *topics_at(const struct topics *topics, unsigned index)
{
	return &topics->list[index];
}

const char *topics_name(const struct topics *topics, const char *base)
{
	for (unsigned i = 0; i < topics->count; i++)
		if (strcmp(topics->list[i].base, base) == 0)
			return topics->list[i].name;
	fprintf(stderr, "topic %s is not in " TOPICS_FILE "\n", base);
	abort();
}

const struct topic *topics_find(const struct topics *topics, const char *name)
{
	for (unsigned i = 0; i < topics->count; i++)
		if (strcmp(topics->list[i].name, name) == 0)
			return &topics->list[i];
	return NULL;
}

const char *topics_group(const struct topics *const_topics, const char *group)
{
	struct topics *topics = (struct topics *)const_topics; /* a cache of names, nothing that callers see */
	CLEANUP(freep) char *name = mem_printf("%s%s", topics->prefix, group);

	for (unsigned i = 0; i < topics->name_count; i++)
		if (strcmp(topics->names[i], name) == 0)
			return topics->names[i];
	if (topics->name_count == TOPICS_MAX) {
		fprintf(stderr, "more than %d groups\n", TOPICS_MAX);
		abort();
	}
	topics->names[topics->name_count] = STEAL(name);
	return topics->names[topics->name_count++];
}

/* --- apply ----------------------------------------------------------------------------------------------------------- */

struct report {
	topics_report_fn *fn;
	void *self;
};

static void say(const struct report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const struct report *report, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (report->fn)
		report->fn(report->self, line);
}

/* LogAppendTime: a record stamped in 2020 would be past its retention on arrival. */
struct settings {
	char retention[NUMBER_TEXT], message[NUMBER_TEXT];
	const char *list[16];
};

static void settings_of(const struct topic *topic, struct settings *s)
{
	bool compact = topic->retention_ms < 0;

	snprintf(s->retention, sizeof(s->retention), "%" PRId64, topic->retention_ms);
	snprintf(s->message, sizeof(s->message), "%" PRId64, topic->message_bytes_max);
	const char *const list[] = { "message.timestamp.type",
				     "LogAppendTime",
				     "max.message.bytes",
				     s->message,
				     "cleanup.policy",
				     compact ? "compact" : "delete",
				     compact ? NULL : "retention.ms",
				     s->retention,
				     NULL };
	memcpy(s->list, list, sizeof(list));
}

static int create(struct kafka_admin *admin, const struct topic *topic, const struct config *cfg, struct err *err)
{
	struct settings s;

	settings_of(topic, &s);
	const struct kafka_topic_spec spec = {
		.name = topic->name,
		.partitions = topic->partitions,
		.replication = (int32_t)config_int(cfg, "topics.replication_factor"),
		.config = s.list,
	};

	return kafka_admin_create(admin, &spec, err);
}

/* A count cannot be taken back: what stands in the topic is where it would be looked for no more. */
static int check_count(const struct topic *topic, int32_t partitions, struct err *err)
{
	if (partitions == 0 || partitions == topic->partitions)
		return 0;
	return err_set(
		err, ERR_FATAL,
		"topic %s has %d partitions, the table says %d: keys would move to other partitions and lose their "
		"order; stop the workers, delete the topic, and `penstock topics apply` makes it as it should be",
		topic->name, partitions, topic->partitions);
}

static int apply_topic(struct kafka_admin *admin, const struct topic *topic, const struct config *cfg, bool dry_run,
		       const struct report *report, struct err *err)
{
	int32_t partitions;

	if (kafka_admin_partitions(admin, topic->name, &partitions, err))
		return -1;
	if (check_count(topic, partitions, err))
		return -1;
	say(report, "topic %s: %s", topic->name,
	    partitions ? "already there"
	    : dry_run  ? "would be created"
		       : "created");
	return partitions || dry_run ? 0 : create(admin, topic, cfg, err);
}

/* Brokers hear of a new topic a moment after it was made. */
static int write_offsets(struct kafka_admin *admin, const char *group, const struct kafka_offset *offsets,
			 unsigned count, struct err *err)
{
	int64_t deadline = clock_monotonic_ns() + HEARSAY_NS;

	while (kafka_admin_set_offsets(admin, group, offsets, count, err)) {
		if (err->kind != ERR_RETRY || clock_monotonic_ns() >= deadline)
			return -1;
		err_clear(err);
		poll(NULL, 0, HEARSAY_STEP_MS);
	}
	return 0;
}

static int apply_group(struct kafka_admin *admin, const struct topic *topic, const char *group, bool dry_run,
		       const struct report *report, struct err *err)
{
	CLEANUP(freep) struct kafka_offset *offsets = mem_zalloc((size_t)topic->partitions, sizeof(*offsets));
	unsigned missing = 0;

	for (int32_t p = 0; p < topic->partitions; p++)
		offsets[p] = (struct kafka_offset){ topic->name, p, KAFKA_OFFSET_NONE, NULL };
	if (kafka_admin_offsets(admin, group, offsets, (unsigned)topic->partitions, err))
		return -1;
	for (int32_t p = 0; p < topic->partitions; p++)
		if (offsets[p].offset == KAFKA_OFFSET_NONE)
			offsets[missing++] = (struct kafka_offset){ topic->name, p, 0, NULL };
	if (missing == 0)
		return 0;
	if (!dry_run && write_offsets(admin, group, offsets, missing, err))
		return -1;
	say(report, "group %s on %s: first offset %s for %u partitions", group, topic->name,
	    dry_run ? "would be written" : "written", missing);
	return 0;
}

int topics_apply(const struct topics *topics, const struct config *cfg, bool dry_run, topics_report_fn *fn, void *self,
		 struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	const struct report report = { fn, self };

	if (kafka_admin_open(&admin, cfg, err))
		return -1;
	for (unsigned i = 0; i < topics->count; i++)
		if (apply_topic(admin, &topics->list[i], cfg, dry_run, &report, err))
			return -1;
	for (unsigned i = 0; i < topics->count; i++)
		for (unsigned g = 0; g < topics->list[i].group_count; g++)
			if (apply_group(admin, &topics->list[i], topics->list[i].groups[g], dry_run, &report, err))
				return -1;
	return 0;
}

/* --- check ----------------------------------------------------------------------------------------------------------- */

static int check_settings(struct kafka_admin *admin, const struct topic *topic, const struct report *report,
			  unsigned *differences, struct err *err)
{
	char found[KAFKA_CONFIG_VALUE_MAX];
	struct settings s;

	settings_of(topic, &s);
	for (unsigned i = 0; s.list[i]; i += 2) {
		if (kafka_admin_topic_config(admin, topic->name, s.list[i], found, err))
			return -1;
		if (strcmp(found, s.list[i + 1]) == 0)
			continue;
		say(report, "topic %s: %s is %s, the table says %s", topic->name, s.list[i], found, s.list[i + 1]);
		(*differences)++;
	}
	return 0;
}

static int check_groups(struct kafka_admin *admin, const struct topic *topic, const struct report *report,
			unsigned *differences, struct err *err)
{
	CLEANUP(freep) struct kafka_offset *offsets = mem_zalloc((size_t)topic->partitions, sizeof(*offsets));

	for (unsigned g = 0; g < topic->group_count; g++) {
		for (int32_t p = 0; p < topic->partitions; p++)
			offsets[p] = (struct kafka_offset){ topic->name, p, KAFKA_OFFSET_NONE, NULL };
		if (kafka_admin_offsets(admin, topic->groups[g], offsets, (unsigned)topic->partitions, err))
			return -1;
		for (int32_t p = 0; p < topic->partitions; p++)
			if (offsets[p].offset == KAFKA_OFFSET_NONE) {
				say(report, "group %s has no offset on %s [%d]; run `penstock topics apply`",
				    topic->groups[g], topic->name, p);
				(*differences)++;
			}
	}
	return 0;
}

static int check_topic(struct kafka_admin *admin, const struct topic *topic, const struct report *report,
		       unsigned *differences, struct err *err)
{
	int32_t partitions;

	if (kafka_admin_partitions(admin, topic->name, &partitions, err))
		return -1;
	if (partitions != topic->partitions) {
		if (partitions)
			say(report, "topic %s: %d partitions, the table says %d", topic->name, partitions,
			    topic->partitions);
		else
			say(report, "topic %s: missing; run `penstock topics apply`", topic->name);
		(*differences)++;
		return 0;
	}
	return check_settings(admin, topic, report, differences, err) ||
			       check_groups(admin, topic, report, differences, err)
		       ? -1
		       : 0;
}

int topics_check(const struct topics *topics, const struct config *cfg, topics_report_fn *fn, void *self,
		 unsigned *ret_differences, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	const struct report report = { fn, self };

	*ret_differences = 0;
	if (kafka_admin_open(&admin, cfg, err))
		return -1;
	for (unsigned i = 0; i < topics->count; i++)
		if (check_topic(admin, &topics->list[i], &report, ret_differences, err))
			return -1;
	return 0;
}

/* --- verify ---------------------------------------------------------------------------------------------------------- */

/* By which records would go too soon, or never. */
enum { POLICY, CLOCK, RETENTION, VERIFIED };
static const char *const verified[VERIFIED] = { "cleanup.policy", "message.timestamp.type", "retention.ms" };

/* Longer than the table says is no harm; "": the broker does not tell. */
static bool is_harmful(const struct topic *topic, unsigned setting, const char *found, const char *wanted)
{
	if (!found[0] || strcmp(found, wanted) == 0)
		return false;
	if (setting != RETENTION)
		return true;
	return topic->retention_ms >= 0 && found[0] != '-' && strtoll(found, NULL, 10) < topic->retention_ms;
}

static int verify_settings(const struct topic *topic, const struct kafka_topic_settings *found, struct err *err)
{
	struct settings s;

	settings_of(topic, &s);
	const char *const wanted[VERIFIED] = {
		[POLICY] = topic->retention_ms < 0 ? "compact" : "delete",
		[CLOCK] = "LogAppendTime",
		[RETENTION] = s.retention,
	};

	for (unsigned i = 0; i < VERIFIED; i++)
		if (is_harmful(topic, i, found->values[i], wanted[i]))
			return err_set(
				err, ERR_FATAL,
				"topic %s has %s=%s, the table says %s: records would go before they are read; set it "
				"by kafka-configs.sh --alter (`penstock topics check` shows all that differs)",
				topic->name, verified[i], found->values[i], wanted[i]);
	return 0;
}

int topics_verify(const struct topics *topics, const struct config *cfg, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	CLEANUP(freep)
	struct kafka_topic_settings *found = mem_zalloc(TOPICS_MAX, sizeof(*found));

	for (unsigned i = 0; i < topics->count; i++)
		found[i].topic = topics->list[i].name;
	if (kafka_admin_open(&admin, cfg, err) ||
	    kafka_admin_topic_settings(admin, found, topics->count, verified, VERIFIED, err))
		return -1;
	for (unsigned i = 0; i < topics->count; i++)
		if (check_count(&topics->list[i], found[i].partitions, err) ||
		    verify_settings(&topics->list[i], &found[i], err))
			return -1;
	return 0;
}
