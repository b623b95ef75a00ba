/*
 * timeseries.get_range: a window's records, decoded while they arrive. An
 * answer that breaks off is asked for again from where it broke; so is one
 * that another process had begun.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "schemas.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/formats/format.h"
#include "stages/fetcher/sources/databento/actions.h"
#include "stages/fetcher/sources/databento/delivery.h"
#include "stages/fetcher/sources/databento/place.h"
#include "stages/fetcher/sources/databento/request.h"

enum state {
	STATE_COUNT,     /* the vendor is asked how many records there are */
	STATE_REQUEST,   /* and for them */
	STATE_READ,      /* they arrive */
	STATE_CONDITION, /* no symbol resolved: does the vendor have data for these days at all? */
	STATE_ENDED,
};

struct stream {
	struct source base;
	const struct source_env *env;
	const struct fetch_task *task;
	struct databento_call call;
	enum state state;
	struct delivery delivery;
	struct place place; /* what was handed out */
	int64_t mappings;   /* of the metadata that were handed out, before any record */
	int64_t mappings_seen;
	struct place again; /* what was read once more so far, until it is the same */
	bool behind;        /* it is not yet */
	struct format *format;
	struct err refused; /* what the vendor said, while its conditions are asked for */
	char resume[SOURCE_RESUME_MAX];
	char message[480];
};

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static void ask_count(struct stream *self)
{
	self->state = STATE_COUNT;
	databento_call_begin(&self->call, DATABENTO_POST, "metadata.get_record_count");
	databento_put_request(&self->call, self->task, self->task->start, self->delivery.end);
}

static int64_t from_of(const struct stream *self)
{
	return self->place.count > 0 ? self->place.index : self->task->start;
}

static void put_range(struct stream *self)
{
	buf_reset(&self->call.form);
	databento_put_request(&self->call, self->task, from_of(self), self->delivery.end);
	databento_call_field(&self->call, "encoding", STR_LIT("dbn"));
	databento_call_field(&self->call, "compression", STR_LIT("zstd"));
}

static void ask_range(struct stream *self)
{
	self->state = STATE_REQUEST;
	databento_call_begin(&self->call, DATABENTO_POST, "timeseries.get_range");
	self->call.streamed = true;
	put_range(self);
}

static void ask_condition(struct stream *self)
{
	self->state = STATE_CONDITION;
	databento_call_begin(&self->call, DATABENTO_GET, "metadata.get_dataset_condition");
	databento_put_days(&self->call, self->task, self->task->start, self->delivery.end);
}

/* What the vendor has is asked for; where it has none of the window, that is all. */
static void ask_clipped(struct stream *self)
{
	char at[CLOCK_TEXT_MAX];

	clock_format(self->delivery.end, 9, at);
	log_warning("window_clipped",
		    LOG_FIELDS(log_i64("task", self->task->task), log_str("subscription", self->task->subscription)),
		    "the vendor has data until %s; what follows stays pending", at);
	if (self->delivery.end <= from_of(self)) {
		self->delivery.end = self->delivery.end > self->task->start ? self->delivery.end : self->task->start;
		self->delivery.expected = self->delivery.records > 0 ? self->delivery.expected : 0;
		self->state = STATE_ENDED;
	} else if (self->place.count > 0) {
		ask_range(self);
	} else {
		ask_count(self);
	}
}

static int refused(struct stream *self, struct err *err)
{
	if (databento_clip(&self->call.refusal, &self->delivery.end))
		return ask_clipped(self), 0;
	databento_refused(&self->call, &self->refused);
	if (!databento_is_unresolved(&self->call.refusal) || self->place.count > 0) {
		*err = self->refused;
		return -1;
	}
	ask_condition(self);
	return 0;
}

/* --- answers ----------------------------------------------------------------------------------------------------------- */

static int take_count(struct stream *self, struct err *err)
{
	if (databento_take_number(&self->call, &self->delivery.expected, err))
		return -1;
	ask_range(self);
	return 0;
}

/* A weekend has no symbols either: it is empty, and that is sure. */
static int take_condition(struct stream *self, struct err *err)
{
	bool dataless;

	if (databento_take_dataless(&self->call, &dataless, err))
		return -1;
	if (!dataless) {
		*err = self->refused;
		return -1;
	}
	self->delivery.expected = 0;
	self->state = STATE_ENDED;
	return 0;
}

static void open_body(struct stream *self)
{
	const struct byte_input input = { databento_call_input, &self->call };
	char name[160];

	snprintf(name, sizeof(name), "databento: timeseries.get_range of %s %s", self->task->dataset,
		 self->task->schema);
	format_dbn_open_input(&self->format, name, &input, self->task);
	self->again = (struct place){ .index = self->place.index };
	self->behind = self->place.count > 0;
	self->mappings_seen = 0;
	self->state = STATE_READ;
}

static int answered(struct stream *self, struct err *err)
{
	switch (self->state) {
	case STATE_COUNT:
		return take_count(self, err);
	case STATE_CONDITION:
		return take_condition(self, err);
	default:
		open_body(self);
		return 0;
	}
}

/* --- the body ------------------------------------------------------------------------------------------------------------ */

/* The body broke off, or is corrupt: whatever it was, what was read of it stands. */
static int broke_off(struct stream *self, const struct err *why, struct err *err)
{
	format_freep(&self->format);
	self->delivery.billed += self->call.body_bytes;
	self->call.body_bytes = 0;
	self->state = STATE_REQUEST;
	put_range(self);
	return databento_call_again(&self->call, why->text, err);
}

static void changed(struct stream *self, struct source_item *ret_item)
{
	char at[CLOCK_TEXT_MAX];

	clock_format(self->place.index, 9, at);
	snprintf(self->message, sizeof(self->message),
		 "the vendor's records at %s are not those that were read before: they were corrected meanwhile", at);
	*ret_item = (struct source_item){ .kind = SOURCE_CHANGED, .message = self->message };
}

/* True: the item was handed out before, or it shows that the others are not what they were. */
static bool read_again(struct stream *self, struct source_item *item)
{
	if (!self->behind)
		return false;
	if (item->kind == SOURCE_END || item->ts_index != self->place.index) {
		changed(self, item);
		return true;
	}
	place_pass(&self->again, item->ts_index, item->bytes);
	self->behind = self->again.count < self->place.count;
	if (!self->behind && !place_same(&self->again, &self->place))
		changed(self, item);
	return true;
}

static void hand_out(struct stream *self, const struct source_item *item)
{
	place_pass(&self->place, item->ts_index, item->bytes);
	delivery_take(&self->delivery, item);
	databento_call_progress(&self->call);
}

/* Each answer has those of its own part of the window: only the first one's are of the whole. */
static bool take_mapping(struct stream *self)
{
	if (self->place.count > 0 || ++self->mappings_seen <= self->mappings)
		return false;
	self->mappings++;
	return true;
}

/* True: the item is the caller's. */
static bool take_item(struct stream *self, struct source_item *item)
{
	delivery_take_names(&self->delivery, format_dbn_metadata(self->format));
	if (item->kind == SOURCE_LATER)
		return true;
	if (item->type == &symbol_mapping_type)
		return take_mapping(self);
	if (read_again(self, item))
		return item->kind == SOURCE_CHANGED;
	if (item->kind == SOURCE_END) {
		self->delivery.billed += self->call.body_bytes;
		self->state = STATE_ENDED;
		return false;
	}
	hand_out(self, item);
	return true;
}

/* 1: an item, 0: the state is another one, or the item was read before. */
static int read_body(struct stream *self, struct source_item *ret_item, struct err *err)
{
	struct err why = ERR_INIT;

	if (self->format->ops->next(self->format, ret_item, &why))
		return broke_off(self, &why, err);
	return take_item(self, ret_item);
}

/* --- the source ---------------------------------------------------------------------------------------------------------- */

/* 1: there is nothing yet, 0: the state is another one. */
static int step_call(struct stream *self, struct source_item *ret_item, struct err *err)
{
	enum call_step step;
	int64_t ready_ns;

	if (databento_call_step(&self->call, &step, &ready_ns, err))
		return -1;
	switch (step) {
	case CALL_LATER:
		*ret_item = (struct source_item){ .kind = SOURCE_LATER, .ready_ns = ready_ns };
		return 1;
	case CALL_ANSWERED:
		return answered(self, err);
	case CALL_REFUSED:
		return refused(self, err);
	}
	return 0;
}

static int stream_next(struct source *source, struct source_item *ret_item, struct err *err)
{
	struct stream *self = (struct stream *)source;
	int outcome = 0;

	while (outcome == 0 && self->state != STATE_ENDED)
		outcome = self->state == STATE_READ ? read_body(self, ret_item, err) : step_call(self, ret_item, err);
	if (outcome == 0)
		*ret_item = (struct source_item){ .kind = SOURCE_END, .schema = self->task->schema };
	return outcome < 0 ? -1 : 0;
}

static const char *stream_identity(const struct source *source)
{
	(void)source;
	return "timeseries.get_range";
}

static int64_t stream_input_bytes(const struct source *source)
{
	const struct stream *self = (const struct stream *)source;

	return self->delivery.billed + (self->state == STATE_READ ? self->call.body_bytes : 0);
}

static const char *stream_resume(const struct source *source)
{
	struct stream *self = (struct stream *)source;

	snprintf(self->resume, sizeof(self->resume),
		 "{\"index\":%" PRId64 ",\"count\":%" PRId64 ",\"hash\":\"%016" PRIx64 "\",\"end\":%" PRId64
		 ",\"expected\":%" PRId64 ",\"records\":%" PRId64 ",\"billed\":%" PRId64 ",\"mappings\":%" PRId64 "}",
		 self->place.index, self->place.count, self->place.hash, self->delivery.end, self->delivery.expected,
		 self->delivery.records, stream_input_bytes(source), self->mappings);
	return self->resume;
}

static int read_resume(struct stream *self, const char *text, struct err *err)
{
	CLEANUP(json_freep) json_t *json = json_loads(text, 0, NULL);
	json_int_t index, count, end, expected, records, billed, mappings;
	const char *hash;

	if (!json || json_unpack(json, "{s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "index", &index, "count", &count,
				 "hash", &hash, "end", &end, "expected", &expected, "records", &records, "billed",
				 &billed, "mappings", &mappings))
		return err_set(err, ERR_RECORD, "databento: the cursor says nothing of where to go on: %.200s", text);
	self->place = (struct place){ index, count, strtoull(hash, NULL, 16) };
	self->delivery.end = end;
	self->delivery.expected = expected;
	self->delivery.records = records;
	self->delivery.billed = billed;
	self->delivery.tally.incomplete = count > 0;
	self->mappings = mappings;
	return 0;
}

static bool stream_begins_behind(const struct source *source)
{
	(void)source;
	return true;
}

static const char *stream_result(struct source *source)
{
	return delivery_result(&((struct stream *)source)->delivery);
}

static void stream_free(struct source *source)
{
	struct stream *self = (struct stream *)source;

	format_freep(&self->format); /* it reads from the call */
	databento_call_release(&self->call);
	delivery_release(&self->delivery);
	free(self);
}

static const struct source_ops stream_ops = {
	.name = "databento",
	.next = stream_next,
	.identity = stream_identity,
	.input_bytes = stream_input_bytes,
	.free = stream_free,
	.resume = stream_resume,
	.begins_behind = stream_begins_behind,
	.result = stream_result,
};

int databento_open_stream(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			  const char *resume, struct err *err)
{
	struct stream *self = mem_zalloc(1, sizeof(*self));
	CLEANUP(source_freep) struct source *source = &self->base;

	source->ops = &stream_ops;
	self->env = env;
	self->task = task;
	delivery_init(&self->delivery, task->end);
	databento_call_init(&self->call, env);
	if (resume[0] && read_resume(self, resume, err))
		return -1;
	if (self->delivery.expected == DELIVERY_UNKNOWN)
		ask_count(self);
	else
		ask_range(self);
	*ret = STEAL(source);
	return 0;
}
