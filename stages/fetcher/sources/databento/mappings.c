/*
 * symbology.resolve as records: which symbols stand for which on the days of
 * a window. The vendor sells no such records, it answers for nothing; what it
 * answers may change from one call to the next, so what was read before is
 * read once more and compared.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/fetcher/sources/databento/actions.h"
#include "stages/fetcher/sources/databento/delivery.h"
#include "stages/fetcher/sources/databento/place.h"
#include "stages/fetcher/sources/databento/request.h"
#include "stages/fetcher/sources/databento/resolve.h"

#define TEXT_MAX (64 * 1024) /* bytes of an interval */

enum state {
	STATE_RESOLVE,
	STATE_GIVE,      /* the intervals of an answer */
	STATE_CONDITION, /* no symbol resolved: does the vendor have data for these days at all? */
	STATE_ENDED,
};

struct mappings {
	struct source base;
	const struct fetch_task *task;
	struct databento_call call;
	enum state state;
	struct resolve resolve;
	struct delivery delivery;
	json_t *answer, *result; /* what is given now: the object of intervals by symbol, in the vendor's order */
	void *symbol;            /* where in it; NULL: behind the last */
	size_t interval;
	struct place place; /* what was handed out, none of it with a time */
	struct place again; /* what was read once more of it so far */
	struct symbol_mapping out;
	struct buf text; /* of the interval */
	struct err refused;
	char message[200];
	char resume[SOURCE_RESUME_MAX];
};

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static void ask(struct mappings *self)
{
	self->state = STATE_RESOLVE;
	databento_call_begin(&self->call, DATABENTO_POST, "symbology.resolve");
	resolve_put(&self->resolve, &self->call, self->task->start, self->delivery.end);
}

static void ask_condition(struct mappings *self)
{
	self->state = STATE_CONDITION;
	databento_call_begin(&self->call, DATABENTO_GET, "metadata.get_dataset_condition");
	databento_put_days(&self->call, self->task, self->task->start, self->delivery.end);
}

static void end(struct mappings *self)
{
	delivery_name(&self->delivery, self->resolve.partial, self->resolve.not_found);
	self->state = STATE_ENDED;
}

static int refused(struct mappings *self, struct err *err)
{
	if (databento_clip(&self->call.refusal, &self->delivery.end)) {
		if (self->delivery.end > self->task->start)
			return ask(self), 0;
		self->delivery.end = self->task->start;
		return end(self), 0;
	}
	databento_refused(&self->call, &self->refused);
	if (self->state == STATE_RESOLVE && databento_is_unresolved(&self->call.refusal) && self->resolve.first == 0)
		return ask_condition(self), 0;
	*err = self->refused;
	return -1;
}

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static void drop_answer(struct mappings *self)
{
	json_decref(self->answer);
	self->answer = NULL;
}

static int take_answer(struct mappings *self, struct err *err)
{
	self->answer = resolve_take(&self->resolve, &self->call, err);
	self->result = json_object_get(self->answer, "result");
	if (!self->answer)
		return -1;
	if (!json_is_object(self->result))
		return err_set(err, ERR_RECORD, "databento: symbology.resolve: the answer has no object result");
	self->symbol = json_object_iter(self->result);
	self->interval = 0;
	self->state = STATE_GIVE;
	return 0;
}

static int take_condition(struct mappings *self, struct err *err)
{
	bool dataless;

	if (databento_take_dataless(&self->call, &dataless, err))
		return -1;
	if (dataless)
		return end(self), 0;
	*err = self->refused;
	return -1;
}

/* --- intervals ----------------------------------------------------------------------------------------------------------- */

static bool read_day(const json_t *interval, const char *key, int32_t *ret)
{
	const char *text = json_string_value(json_object_get(interval, key));
	int64_t ns;

	if (!text || strlen(text) != sizeof("2024-01-31") - 1 || !clock_parse(str_of(text), &ns))
		return false;
	*ret = clock_day_of(ns);
	return true;
}

static void refuse(struct mappings *self, const json_t *interval, struct source_item *ret_item)
{
	CLEANUP(freep) char *text = json_dumps(interval, JSON_COMPACT | JSON_ENCODE_ANY);

	buf_reset(&self->text);
	buf_put_text(&self->text, text ? text : "");
	snprintf(self->message, sizeof(self->message),
		 "databento: symbology.resolve: interval %zu is no object with the days d0 and d1, and the symbol s",
		 self->interval);
	*ret_item = (struct source_item){
		.kind = SOURCE_REFUSED,
		.symbol = self->out.symbol,
		.schema = self->task->schema,
		.bytes = buf_str(&self->text),
		.message = self->message,
	};
}

static void fill(struct mappings *self, const json_t *interval, struct source_item *ret_item)
{
	const char *output = json_string_value(json_object_get(interval, "s"));

	self->out = (struct symbol_mapping){
		.present = SYMBOL_MAPPING_PRESENT,
		.symbol = str_of(json_object_iter_key(self->symbol)),
		.schema = STR_LIT("symbol_mapping"),
		.dataset = str_of(self->task->dataset),
		.stype_in = str_of(databento_stype_in(self->task)),
		.stype_out = str_of(databento_stype_out(self->task)),
		.output_symbol = str_of(output ? output : ""),
	};
	if (!output || !read_day(interval, "d0", &self->out.d0) || !read_day(interval, "d1", &self->out.d1)) {
		refuse(self, interval, ret_item);
		return;
	}
	buf_reset(&self->text);
	buf_printf(&self->text, "%d %d %s %s", self->out.d0, self->out.d1, json_object_iter_key(self->symbol), output);
	*ret_item = (struct source_item){
		.kind = SOURCE_RECORD,
		.type = &symbol_mapping_type,
		.record = &self->out,
		.lineage = (struct lineage *)&self->out.attempt,
		.symbol = self->out.symbol,
		.schema = self->task->schema,
		.bytes = buf_str(&self->text),
	};
}

/* NULL: the answer has no more. What has no output symbol maps nothing. */
static const json_t *next_interval(struct mappings *self)
{
	while (self->symbol) {
		const json_t *intervals = json_object_iter_value(self->symbol);
		const json_t *interval = json_array_get(intervals, self->interval);
		const char *output = json_string_value(json_object_get(interval, "s"));

		if (!interval) {
			self->symbol = json_object_iter_next(self->result, self->symbol);
			self->interval = 0;
			continue;
		}
		self->interval++;
		if (!output || output[0])
			return interval;
	}
	return NULL;
}

/* True: the item was handed out before, or it shows that the others are not what they were. */
static bool read_again(struct mappings *self, struct source_item *item)
{
	if (self->again.count == self->place.count)
		return false;
	place_pass(&self->again, 0, item->bytes);
	if (self->again.count == self->place.count && !place_same(&self->again, &self->place))
		*item = (struct source_item){ .kind = SOURCE_CHANGED,
					      .message = "the vendor resolves symbols to others than before" };
	return true;
}

/* 1: an item, 0: it was read before, or the answer has no more. */
static int give(struct mappings *self, struct source_item *ret_item)
{
	const json_t *interval = next_interval(self);

	if (!interval) {
		drop_answer(self);
		if (resolve_ended(&self->resolve))
			end(self);
		else
			ask(self);
		return 0;
	}
	fill(self, interval, ret_item);
	if (read_again(self, ret_item))
		return ret_item->kind == SOURCE_CHANGED;
	place_pass(&self->place, 0, ret_item->bytes);
	self->again = self->place;
	self->delivery.records++;
	return 1;
}

/* --- the source ---------------------------------------------------------------------------------------------------------- */

/* 1: there is nothing yet, 0: the state is another one. */
static int step_call(struct mappings *self, struct source_item *ret_item, struct err *err)
{
	enum call_step step;
	int64_t ready_ns;

	if (databento_call_step(&self->call, &step, &ready_ns, err))
		return -1;
	if (step == CALL_LATER) {
		*ret_item = (struct source_item){ .kind = SOURCE_LATER, .ready_ns = ready_ns };
		return 1;
	}
	if (step == CALL_REFUSED)
		return refused(self, err);
	return self->state == STATE_CONDITION ? take_condition(self, err) : take_answer(self, err);
}

static int mappings_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct mappings *self = (struct mappings *)source;
	int outcome = 0;

	while (outcome == 0 && self->state != STATE_ENDED)
		outcome = self->state == STATE_GIVE ? give(self, ret_item) : step_call(self, ret_item, err);
	if (outcome != 0)
		return outcome < 0 ? -1 : 0;
	*ret_item = (struct source_item){ .kind = SOURCE_END, .schema = self->task->schema };
	if (self->again.count < self->place.count)
		*ret_item = (struct source_item){ .kind = SOURCE_CHANGED,
						  .message = "the vendor resolves fewer symbols than before" };
	return 0;
}

static const char *mappings_identity(const struct source *source)
{
	(void)source;
	return "symbology.resolve";
}

static int64_t mappings_input_bytes(const struct source *source)
{
	return ((const struct mappings *)source)->call.body_bytes;
}

static const char *mappings_resume(const struct source *source)
{
	struct mappings *self = (struct mappings *)source;

	snprintf(self->resume, sizeof(self->resume), "{\"count\":%" PRId64 ",\"hash\":\"%016" PRIx64 "\"}",
		 self->place.count, self->place.hash);
	return self->resume;
}

static int read_resume(struct mappings *self, const char *text, struct err *err)
{
	CLEANUP(json_freep) json_t *json = json_loads(text, 0, NULL);
	json_int_t count;
	const char *hash;

	if (!json || json_unpack(json, "{s:I, s:s}", "count", &count, "hash", &hash) || count < 0)
		return err_set(err, ERR_RECORD, "databento: the cursor says nothing of where to go on: %.200s", text);
	self->place = (struct place){ 0, count, strtoull(hash, NULL, 16) };
	self->delivery.records = count;
	return 0;
}

static bool mappings_begins_behind(const struct source *source)
{
	(void)source;
	return true;
}

static const char *mappings_result(struct source *source)
{
	return delivery_result(&((struct mappings *)source)->delivery);
}

static void mappings_free(struct source *source)
{
	struct mappings *self = (struct mappings *)source;

	drop_answer(self);
	databento_call_release(&self->call);
	resolve_release(&self->resolve);
	delivery_release(&self->delivery);
	buf_release(&self->text);
	free(self);
}

static const struct source_ops mappings_ops = {
	.name = "databento",
	.next = mappings_next,
	.identity = mappings_identity,
	.input_bytes = mappings_input_bytes,
	.free = mappings_free,
	.resume = mappings_resume,
	.begins_behind = mappings_begins_behind,
	.result = mappings_result,
};

int databento_open_mappings(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			    const char *resume, struct err *err)
{
	struct mappings *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(source_freep) struct source *source = &self->base;

	source->ops = &mappings_ops;
	self->task = task;
	self->text = (struct buf)BUF_INIT(TEXT_MAX);
	delivery_init(&self->delivery, task->end);
	self->delivery.tally.incomplete = true; /* an interval is of many days */
	databento_call_init(&self->call, env);
	resolve_init(&self->resolve, task);
	if (resume[0] && read_resume(self, resume, err))
		return -1;
	ask(self);
	*ret = STEAL(source);
	return 0;
}
