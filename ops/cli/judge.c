#include "ops/cli/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "common/record_text.h"

#define TEXT_MAX 65536
#define NO_RECORD "NO_RECORD"         /* beside the rules: what the letter holds is no record of its type */
#define NO_ROW "TRANSFORMATION_ERROR" /* beside the rules: the transformer makes no row of it */

static int open_configured(struct judge *judge, const struct config *validator, struct err *err)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		if (rule_file_open(&judge->rules[id], config_text(validator, "rules.folder"), &data_types[id], err))
			return -1;
	return 0;
}

static int open_file(struct judge *judge, const char *file, struct err *err)
{
	const struct record_type *type;
	struct ruleset *rules;
	unsigned id;

	if (rule_file_read(&rules, file, &type, err))
		return -1;
	id = data_type_of(type);
	ruleset_freep(&judge->rules[id]);
	judge->rules[id] = rules;
	return 0;
}

int judge_open(struct judge *judge, const struct config *validator, const char *file, struct err *err)
{
	size_t raw = 0, clean = 0;

	*judge = (struct judge){ .names = BUF_INIT(TEXT_MAX), .text = BUF_INIT(TEXT_MAX) };
	for (unsigned id = 0; id < DATA_TYPES; id++) {
		raw = data_types[id].raw->size > raw ? data_types[id].raw->size : raw;
		clean = data_types[id].clean->size > clean ? data_types[id].clean->size : clean;
	}
	judge->raw = mem_zalloc(1, raw);
	judge->clean = mem_zalloc(1, clean);
	return open_configured(judge, validator, err) || (file && open_file(judge, file, err)) ||
			       transform_open(&judge->transform, err)
		       ? -1
		       : 0;
}

void judge_release(struct judge *judge)
{
	for (unsigned id = 0; id < DATA_TYPES; id++)
		ruleset_freep(&judge->rules[id]);
	transform_freep(&judge->transform);
	free(judge->raw);
	free(judge->clean);
	buf_release(&judge->names);
	buf_release(&judge->text);
}

/* --- a letter's record --------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *letter, const char *name)
{
	const char *text = json_string_value(json_object_get(letter, name));

	return text ? text : "";
}

/* Strings of the record are slices of the JSON. */
static bool put_field(void *record, const struct record_field *field, const json_t *value)
{
	char number[24];

	if (json_is_string(value))
		return record_put_text(record, field, json_string_value(value));
	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return field->type != FIELD_STRING && record_put_text(record, field, number);
	}
	if (json_is_boolean(value))
		return field->type == FIELD_BOOL &&
		       record_put_text(record, field, json_is_true(value) ? "true" : "false");
	return record_put_text(record, field, NULL);
}

static bool read_record(struct judge *judge, const struct record_type *type, const json_t *members)
{
	memset(judge->raw, 0, type->size);
	for (unsigned i = 0; i < type->field_count; i++)
		if (!put_field(judge->raw, &type->fields[i], json_object_get(members, type->fields[i].name))) {
			buf_printf(&judge->text, "%s is none", type->fields[i].name);
			return false;
		}
	return true;
}

/* --- judging ------------------------------------------------------------------------------------------------------------- */

static enum judge_verdict fails(struct judge *judge, const char *name, const char *text)
{
	buf_put_text(&judge->names, name);
	buf_put_text(&judge->text, text);
	return JUDGE_FAILS;
}

static enum judge_verdict judge_record(struct judge *judge, enum data_type_id id, bool by_rules, int64_t now_ns)
{
	struct verdict verdict = { 0 };
	struct err err = ERR_INIT;

	if (by_rules)
		verdict = ruleset_check(judge->rules[id], judge->raw, now_ns);
	if (verdict.rejected) {
		ruleset_names(judge->rules[id], verdict.rejected, &judge->names);
		/* As the validator says it: with those that only flag. */
		ruleset_explain(judge->rules[id], judge->raw, verdict.rejected | verdict.flagged, &judge->text);
		return JUDGE_FAILS;
	}
	if (transform_record(judge->transform, id, judge->raw, judge->clean, &err))
		return fails(judge, NO_ROW, err.text);
	return JUDGE_PASSES;
}

enum judge_verdict judge_letter(struct judge *judge, const json_t *letter, int64_t now_ns)
{
	const struct data_schema *schema = data_schema_find(text_of(letter, "schema"));
	bool by_rules = strcmp(text_of(letter, "stage"), "validator") == 0;
	CLEANUP(json_freep) json_t *members = NULL;

	buf_reset(&judge->names);
	buf_reset(&judge->text);
	if (!by_rules && strcmp(text_of(letter, "stage"), "transformer") != 0)
		return JUDGE_CANNOT;
	members = json_loads(text_of(letter, "record"), JSON_REJECT_DUPLICATES, NULL);
	if (!schema || !json_is_object(members))
		return fails(judge, NO_RECORD, "what it holds could not be read");
	if (!read_record(judge, data_types[schema->type].raw, members))
		return fails(judge, NO_RECORD, "");
	return judge_record(judge, schema->type, by_rules, now_ns);
}
