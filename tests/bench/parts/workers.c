#include "tests/bench/parts/workers.h"

#include <stdio.h>
#include <string.h>

#include "common/forward.h"
#include "common/kafka.h"
#include "stages/loader/tables.h"
#include "stages/transformer/transformer.h"
#include "stages/validator/validator.h"
#include "tests/bench/parts/sample.h"

/* --- in place of the broker (the linker's --wrap) ---------------------------------------------------------------------- */

static uint64_t produced;

int __wrap_kafka_producer_topic(struct kafka_producer *producer, const char *name, struct kafka_topic **ret,
				struct err *err);
void __wrap_kafka_topic_allow(struct kafka_topic *topic, uint32_t message_bytes_max);
int __wrap_kafka_produce(struct kafka_producer *producer, struct kafka_topic *topic, int32_t partition, struct str key,
			 struct str value, const struct kafka_header *headers, unsigned header_count, struct err *err);

int __wrap_kafka_producer_topic(struct kafka_producer *producer, const char *name, struct kafka_topic **ret,
				struct err *err)
{
	(void)producer;
	(void)name;
	(void)err;
	*ret = NULL;
	return 0;
}

void __wrap_kafka_topic_allow(struct kafka_topic *topic, uint32_t message_bytes_max)
{
	(void)topic;
	(void)message_bytes_max;
}

int __wrap_kafka_produce(struct kafka_producer *producer, struct kafka_topic *topic, int32_t partition, struct str key,
			 struct str value, const struct kafka_header *headers, unsigned header_count, struct err *err)
{
	(void)producer;
	(void)topic;
	(void)partition;
	(void)key;
	(void)headers;
	(void)err;
	produced += header_count == 0 && value.len > 0; /* a letter has headers */
	return 0;
}

uint64_t workers_produced(void)
{
	return produced;
}

/* --- in place of the database ------------------------------------------------------------------------------------------ */

#define ATTRIBUTES_MAX 256

/* What pg_attribute would say of the table that was asked for last. */
static struct {
	char name[64];
	const char *type;
} attributes[ATTRIBUTES_MAX];
static int attribute_count;

int __wrap_pg_query(struct pg *pg, const char *sql, const char *const *params, unsigned count, struct pg_result **ret,
		    struct err *err);
void __wrap_pg_result_freep(struct pg_result **result);
int __wrap_pg_rows(const struct pg_result *result);
const char *__wrap_pg_text(const struct pg_result *result, int row, int column);

static const char *type_of(const struct record_type *type, const struct record_field *field)
{
	char exponent[80];

	snprintf(exponent, sizeof(exponent), "%s_exponent", field->name);
	if (field->type == FIELD_DECIMAL || record_field_find(type, str_of(exponent)))
		return "numeric";
	if (field->type == FIELD_STRING)
		return "text";
	if (field->type == FIELD_LONG)
		return field->logical == LOGICAL_TIMESTAMP_NANOS ? "timestamp with time zone" : "bigint";
	return field->logical == LOGICAL_DATE ? "date" : "integer";
}

static void add_attribute(const char *name, const char *suffix, const char *type)
{
	need(attribute_count < ATTRIBUTES_MAX, "a table has too many columns");
	snprintf(attributes[attribute_count].name, sizeof(attributes[0].name), "%s%s", name, suffix);
	attributes[attribute_count++].type = type;
}

int __wrap_pg_query(struct pg *pg, const char *sql, const char *const *params, unsigned count, struct pg_result **ret,
		    struct err *err)
{
	(void)pg;
	(void)sql;
	(void)err;
	attribute_count = 0;
	for (unsigned id = 0; count == 1 && id < DATA_TYPES; id++) {
		const struct record_type *type = loader_tables[id].type;

		if (strcmp(loader_tables[id].name, params[0]) != 0)
			continue;
		for (unsigned i = 0; i < type->field_count; i++) {
			add_attribute(type->fields[i].name, "", type_of(type, &type->fields[i]));
			if (type->fields[i].logical == LOGICAL_TIMESTAMP_NANOS)
				add_attribute(type->fields[i].name, "_ns", "smallint");
		}
	}
	*ret = NULL;
	return 0;
}

void __wrap_pg_result_freep(struct pg_result **result)
{
	*result = NULL;
}

int __wrap_pg_rows(const struct pg_result *result)
{
	(void)result;
	return attribute_count;
}

const char *__wrap_pg_text(const struct pg_result *result, int row, int column)
{
	(void)result;
	return column == 0 ? attributes[row].name : attributes[row].type;
}

/* --- the workers ------------------------------------------------------------------------------------------------------- */

static const struct config_key keys[] = {
	FORWARD_KEYS,
	{ "rules.folder", CONFIG_TEXT, "", 0, 0, NULL, "As the validator's." },
	{ 0 },
};
static const struct config_key *const shared[] = { config_common_keys, NULL };

static struct worker worker;
static struct validator *validator;
static struct transformer *transformer;
static struct stage_ops validating, transforming;
static struct table *tables[DATA_TYPES];
static const char *topics[DATA_TYPES][DATA_STAGES];

void workers_open(void)
{
	const struct config_spec spec = { .binary = "validator", .summary = "", .keys = keys, .shared = shared };
	struct err err = ERR_INIT;

	need(config_open(&worker.cfg, &spec, NULL, &err) == 0 && topics_open(&worker.topics, worker.cfg, &err) == 0 &&
		     validator_open(&validator, &worker, NULL, &err) == 0 &&
		     transformer_open(&transformer, &worker, NULL, &err) == 0,
	     err.text);
	validating = validator_stage_ops(validator);
	transforming = transformer_stage_ops(transformer);
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		need(table_open(&tables[id], NULL, &loader_tables[id], &err) == 0, err.text);
		for (unsigned stage = 0; stage < DATA_STAGES; stage++)
			topics[id][stage] = topics_name(worker.topics, data_types[id].topics[stage]);
	}
}

void workers_close(void)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		table_freep(&tables[id]);
	validator_freep(&validator);
	transformer_freep(&transformer);
	topics_freep(&worker.topics);
	config_freep(&worker.cfg);
}

static void handle(const struct stage_ops *ops, enum data_type_id type, enum data_stage stage, unsigned i)
{
	static struct err err = ERR_INIT; /* the stage's is there already, too */
	const struct kafka_message message = { .topic = topics[type][stage],
					       .offset = i,
					       .timestamp_ms = SAMPLE_NOW / 1000000,
					       .key = STR_LIT("AAPL"),
					       .value = samples[type].messages[i] };

	need(ops->handle(ops->self, &message, &err) == 0, err.text);
}

void workers_validate(enum data_type_id type, unsigned i)
{
	handle(&validating, type, DATA_RAW, i);
}

void workers_transform(enum data_type_id type, unsigned i)
{
	handle(&transforming, type, DATA_VALID, i);
}

const struct table *workers_table(enum data_type_id type)
{
	return tables[type];
}
