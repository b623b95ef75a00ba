/*
 * Definitions, of which there are few with many fields: each field of the
 * vendor's table is put where ours of the same name stands.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/mem.h"
#include "stages/fetcher/formats/dbn_fill.h"
#include "stages/fetcher/formats/dbn_types.h"

#define STEPS_MAX 96
#define DIGITS_MAX 24 /* of 64 bits */

struct dbn_definition_plan {
	struct {
		const struct dbn_field *from;
		const struct record_field *to;
		bool of_leg; /* a number about a leg: 0 says nothing where there is none */
	} steps[STEPS_MAX];
	unsigned step_count;
	struct definition blank; /* nothing is known, texts are empty */
	char digits[DIGITS_MAX];
};

static bool is_leg_number(const struct dbn_field *field)
{
	return strncmp(field->name, "leg_", 4) == 0 && strcmp(field->name, "leg_count") != 0 &&
	       strcmp(field->name, "leg_index") != 0 && field->kind != DBN_TEXT && field->kind != DBN_CHAR;
}

static struct dbn_definition_plan *make_plan(unsigned version)
{
	struct dbn_definition_plan *plan = mem_zalloc(1, sizeof(*plan));

	for (unsigned i = 0; i < definition_type.field_count; i++) {
		const struct record_field *to = &definition_type.fields[i];

		if (to->type == FIELD_STRING)
			*(struct str *)((char *)&plan->blank + to->offset) = (struct str){ "", 0 };
	}
	for (const struct dbn_field *from = dbn_type_of(DBN_DEFINITION)->fields; from->name; from++) {
		const struct record_field *to = record_field_find(&definition_type, str_of(from->name));

		if (!to || from->at[version - 1] == 0 || plan->step_count == STEPS_MAX)
			continue;
		plan->steps[plan->step_count].from = from;
		plan->steps[plan->step_count].to = to;
		plan->steps[plan->step_count++].of_leg = is_leg_number(from);
	}
	return plan;
}

static void put_number(void *record, const struct record_field *to, int64_t value)
{
	char *p = (char *)record + to->offset;

	if (to->type == FIELD_INT)
		*(int32_t *)p = (int32_t)value;
	else
		*(int64_t *)p = value;
}

/* A blank character is the vendor's "undefined" (of match_algorithm). */
static bool is_blank(const struct dbn_field *from, struct str text)
{
	return from->kind == DBN_CHAR && str_eq(text, STR_LIT(" "));
}

static int put_text(void *record, const struct record_field *to, struct str text, struct err *why)
{
	if (!str_is_text(text))
		return err_set(why, ERR_RECORD, "%s is not UTF-8", to->name);
	*(struct str *)((char *)record + to->offset) = text;
	return 0;
}

static int put_value(struct dbn_definition_plan *plan, struct definition *definition, const struct dbn_field *from,
		     const struct record_field *to, struct dbn_value value, struct err *why)
{
	if (from->kind == DBN_TIME && !value.null && value.number < 0)
		return err_set(why, ERR_RECORD, "%s %" PRIu64 " is out of range", to->name, (uint64_t)value.number);
	if (to->nullable)
		record_set_present(definition, to->bit, !value.null);
	if (value.null)
		return 0;
	if (from->kind == DBN_TEXT || from->kind == DBN_CHAR)
		return put_text(definition, to, is_blank(from, value.text) ? (struct str){ "", 0 } : value.text, why);
	if (to->type == FIELD_STRING) {
		snprintf(plan->digits, sizeof(plan->digits), "%" PRIu64, (uint64_t)value.number);
		return put_text(definition, to, str_of(plan->digits), why);
	}
	put_number(definition, to, value.number);
	return 0;
}

static void put_head(struct definition *definition, const struct dbn_record *record, const struct dbn_about *about)
{
	definition->schema = about->schema;
	definition->dataset = about->dataset;
	definition->publisher_id = record->publisher_id;
	definition->instrument_id = record->instrument_id;
	definition->ts_event = about->ts_event;
	record_set_present(definition, DEFINITION_TS_EVENT, about->ts_event_known);
}

/* Of no leg there is nothing to say, and version 2 would say nothing either. */
static void forget_legs(struct dbn_definition_plan *plan, struct definition *definition)
{
	for (unsigned i = 0; i < plan->step_count; i++)
		if (plan->steps[i].of_leg && record_number(definition, plan->steps[i].to) == 0)
			record_set_present(definition, plan->steps[i].to->bit, false);
}

int dbn_fill_definition(struct dbn_filler *filler, const struct dbn_record *record, const struct dbn_about *about,
			struct err *why)
{
	struct definition *definition = &filler->out.definition;
	struct dbn_definition_plan *plan;
	struct dbn_value value;

	if (!filler->plan)
		filler->plan = make_plan(filler->version);
	plan = filler->plan;
	*definition = plan->blank;
	for (unsigned i = 0; i < plan->step_count; i++)
		if (dbn_field_read(plan->steps[i].from, filler->version, record->bytes, &value) &&
		    put_value(plan, definition, plan->steps[i].from, plan->steps[i].to, value, why))
			return -1;
	put_head(definition, record, about);
	if (definition->leg_count == 0)
		forget_legs(plan, definition);
	definition->symbol = about->symbol.len > 0 ? about->symbol : definition->raw_symbol;
	if (definition->symbol.len > 0)
		return 0;
	return err_set(why, ERR_RECORD,
		       "the metadata maps no symbol to instrument id %" PRIu32 ", and it has none itself",
		       record->instrument_id);
}
