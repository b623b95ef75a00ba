/*
 * DBN as a format: which of a file's records become records of ours. A file
 * of one schema gives the records of that schema; a live capture (schema
 * "mixed") those of every schema that is loaded. What DBN defines and is not
 * loaded is skipped, what it does not define is refused.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mem.h"
#include "stages/fetcher/formats/dbn_fill.h"
#include "stages/fetcher/formats/dbn_mappings.h"
#include "stages/fetcher/formats/dbn_types.h"
#include "stages/fetcher/formats/format.h"

#define MIXED UINT16_MAX
#define TBBO 3

/* What is done with a record type of this file; `load` is NULL where it is not loaded. */
struct loaded {
	const struct dbn_load *load;
	struct str schema;
	uint32_t bytes;
};

struct dbn_format {
	struct format base;
	char *path;
	struct dbn_reader *reader;
	const struct fetch_task *task; /* whose metadata has not arrived yet; NULL: it has */
	struct loaded loaded[256];     /* by record type */
	const char *schema;            /* of the file */
	bool with_mappings;            /* the metadata's come first */
	struct dbn_mappings mappings;
	struct dbn_filler filler;
	struct dbn_about about; /* the record at hand */
	struct err refusal;     /* text of the last refused record */
};

/* What the task says about its data must be what the file says. */
static int check_wanted(const struct dbn_format *self, const char *what, const char *wanted, struct str found,
			struct err *err)
{
	if (!wanted || !*wanted || str_eq(str_of(wanted), found))
		return 0;
	return err_set(err, ERR_RECORD, "%s: the file's %s is %.*s, the task's is %s", self->path, what, STR_ARG(found),
		       wanted);
}

/* Of a live capture nobody says whether its mbp-1 records are tbbo: they are not loaded. */
static bool choose_loads(struct dbn_format *self, uint16_t schema)
{
	bool any = false;

	for (unsigned i = 0; i < dbn_load_count; i++) {
		const struct dbn_load *load = &dbn_loads[i];

		if (load->schema != schema && (schema != MIXED || load->schema == TBBO))
			continue;
		self->loaded[load->rtype] = (struct loaded){ load, str_of(dbn_schema_name(load->schema)),
							     dbn_record_bytes(self->reader, load->rtype) };
		any = true;
	}
	return any;
}

/* One schema of a live capture may be asked for. */
static int choose_mixed(struct dbn_format *self, const char *wanted, struct err *err)
{
	uint16_t schema = wanted && *wanted ? dbn_schema_number(str_of(wanted)) : MIXED;

	self->schema = "mixed";
	if (schema == TBBO || (schema == MIXED && wanted && *wanted) || !choose_loads(self, schema))
		return err_set(err, ERR_RECORD, "%s: schema %s cannot be loaded from a file of mixed schemas",
			       self->path, wanted);
	return 0;
}

static int check_metadata(struct dbn_format *self, const struct fetch_task *task, struct err *err)
{
	const struct dbn_metadata *metadata = dbn_metadata(self->reader);
	const char *schema = dbn_schema_name(metadata->schema);

	if (check_wanted(self, "dataset", task->dataset, metadata->dataset, err))
		return -1;
	if (metadata->schema == MIXED)
		return choose_mixed(self, task->schema, err);
	if (!schema)
		return err_set(err, ERR_RECORD,
			       "%s: schema %u cannot be loaded from a file (supported: " DBN_LOADED ")", self->path,
			       metadata->schema);
	self->schema = schema;
	if (!choose_loads(self, metadata->schema))
		return err_set(err, ERR_RECORD,
			       "%s: schema %s cannot be loaded from a file (supported: " DBN_LOADED ")", self->path,
			       schema);
	return check_wanted(self, "schema", task->schema, str_of(schema), err);
}

static void free_format(struct format *format)
{
	struct dbn_format *self = (struct dbn_format *)format;

	dbn_filler_release(&self->filler);
	dbn_freep(&self->reader);
	free(self->path);
	free(self);
}

/* The task asks for them: {"symbol_mappings": true}. Parameters that are none are refused where they are looked at. */
static bool wants_mappings(const struct fetch_task *task)
{
	json_t *parameters = task->parameters ? json_loads(task->parameters, 0, NULL) : NULL;
	bool wanted = json_is_true(json_object_get(parameters, "symbol_mappings"));

	json_decref(parameters);
	return wanted;
}

static int begin(struct dbn_format *self, const struct fetch_task *task, struct err *err)
{
	if (check_metadata(self, task, err))
		return -1;
	self->filler.version = dbn_metadata(self->reader)->version;
	self->about.dataset = dbn_metadata(self->reader)->dataset;
	self->with_mappings = wants_mappings(task);
	self->task = NULL;
	return 0;
}

static struct dbn_format *new_format(const char *path)
{
	struct dbn_format *self = mem_zalloc(1, sizeof(*self));

	self->base.ops = &format_dbn_ops;
	self->path = mem_strdup(path);
	return self;
}

static int open_format(struct format **ret, const char *path, const struct fetch_task *task, struct err *err)
{
	struct dbn_format *self = new_format(path);
	CLEANUP(format_freep) struct format *format = &self->base;

	if (dbn_open(&self->reader, self->path, err) || begin(self, task, err))
		return -1;
	*ret = STEAL(format);
	return 0;
}

void format_dbn_open_input(struct format **ret, const char *name, const struct byte_input *input,
			   const struct fetch_task *task)
{
	struct dbn_format *self = new_format(name);

	self->reader = dbn_new(name, input);
	self->task = task;
	*ret = &self->base;
}

const struct dbn_metadata *format_dbn_metadata(const struct format *format)
{
	const struct dbn_format *self = (const struct dbn_format *)format;

	return self->task ? NULL : dbn_metadata(self->reader);
}

static int refuse_time(const char *what, uint64_t ns, struct err *why)
{
	return err_set(why, ERR_RECORD, "%s %" PRIu64 " is %s", what, ns,
		       ns == DBN_UNDEF_TIMESTAMP ? "undefined" : "out of range");
}

/* 0 where the type has none. */
static uint64_t ts_recv_of(const struct dbn_load *load, const struct dbn_record *record)
{
	struct bytes in = bytes_of(record->bytes.data, record->bytes.len);

	if (load->recv_at == 0)
		return 0;
	bytes_take(&in, load->recv_at);
	return bytes_le64(&in);
}

/* Times that can be had, for a refused record too. */
static void read_times(struct dbn_about *about, const struct dbn_load *load, const struct dbn_record *record,
		       uint64_t ts_recv)
{
	about->ts_recv = ts_recv > INT64_MAX ? 0 : (int64_t)ts_recv;
	about->ts_event_known = record->ts_event <= INT64_MAX && (record->ts_event > 0 || !load->ts_event_optional);
	about->ts_event = about->ts_event_known ? (int64_t)record->ts_event : 0;
}

static int check_times(const struct dbn_about *about, const struct dbn_load *load, const struct dbn_record *record,
		       uint64_t ts_recv, struct err *why)
{
	bool not_said = load->ts_event_optional && (record->ts_event == 0 || record->ts_event == DBN_UNDEF_TIMESTAMP);

	if (!about->ts_event_known && !not_said)
		return refuse_time("ts_event", record->ts_event, why);
	return ts_recv > INT64_MAX ? refuse_time("ts_recv", ts_recv, why) : 0;
}

/*
 * As the vendor's own client does it: by the time that requests are cut on,
 * which is ts_recv where there is one. Where that day maps nothing, by the
 * day of ts_event.
 */
static struct str find_symbol(const struct dbn_format *self, const struct dbn_load *load,
			      const struct dbn_record *record)
{
	const struct dbn_about *about = &self->about;
	struct str symbol = { "", 0 };

	if (load->recv_at > 0 && about->ts_recv > 0)
		symbol = dbn_symbol(self->reader, record->instrument_id, (uint64_t)about->ts_recv);
	if (symbol.len == 0 && about->ts_event_known)
		symbol = dbn_symbol(self->reader, record->instrument_id, (uint64_t)about->ts_event);
	return symbol;
}

static int refuse_symbol(const struct dbn_about *about, const struct dbn_record *record, struct err *why)
{
	char day[CLOCK_TEXT_MAX];

	clock_format_date(clock_day_of(about->ts_recv > 0 ? about->ts_recv : about->ts_event), day);
	return err_set(why, ERR_RECORD, "the metadata maps no symbol to instrument id %" PRIu32 " on %s",
		       record->instrument_id, day);
}

/* 0, or -1 with the reason why the record cannot become one of ours. */
static int read_record(struct dbn_format *self, const struct loaded *loaded, const struct dbn_record *record,
		       struct err *why)
{
	const struct dbn_load *load = loaded->load;
	struct dbn_about *about = &self->about;
	uint64_t ts_recv = ts_recv_of(load, record);

	read_times(about, load, record, ts_recv);
	about->schema = loaded->schema;
	about->symbol = find_symbol(self, load, record);
	if (record->bytes.len != loaded->bytes)
		return err_set(why, ERR_RECORD, "%u bytes, %.*s has %u", record->bytes.len, STR_ARG(about->schema),
			       loaded->bytes);
	if (check_times(about, load, record, ts_recv, why))
		return -1;
	if (about->symbol.len == 0 && !load->names_itself)
		return refuse_symbol(about, record, why);
	return dbn_fill(&self->filler, load, record, about, why);
}

static void refuse(struct dbn_format *self, const struct dbn_record *record, struct source_item *ret_item)
{
	err_wrap(&self->refusal, "record %" PRIu64 " at byte offset %" PRIu64, record->number, record->byte_offset);
	err_wrap(&self->refusal, "%s", self->path);
	ret_item->kind = SOURCE_REFUSED;
	ret_item->bytes = record->bytes;
	ret_item->message = self->refusal.text;
}

/* A type that is not loaded from this file, or that nobody knows. */
static void skip(struct dbn_format *self, const struct dbn_record *record, struct source_item *ret_item)
{
	const struct dbn_type *type = dbn_type_of(record->rtype);
	int failed = 0;

	ret_item->kind = SOURCE_SKIPPED;
	if (type)
		ret_item->schema = type->name;
	else
		failed = err_set(&self->refusal, ERR_RECORD, "record type 0x%02X is not known", record->rtype);
	if (record->rtype == DBN_SYMBOL_MAPPING)
		failed = dbn_map_symbol(self->reader, record, &self->refusal);
	if (!failed)
		return;
	ret_item->ts_event = record->ts_event > INT64_MAX ? 0 : (int64_t)record->ts_event;
	refuse(self, record, ret_item);
}

static void take(struct dbn_format *self, const struct dbn_record *record, struct source_item *ret_item)
{
	const struct loaded *loaded = &self->loaded[record->rtype];
	const struct dbn_about *about = &self->about;
	int failed;

	ret_item->bytes = record->bytes;
	if (!loaded->load) {
		skip(self, record, ret_item);
		return;
	}
	failed = read_record(self, loaded, record, &self->refusal);
	ret_item->schema = about->schema.data;
	ret_item->symbol = about->symbol;
	ret_item->ts_event = about->ts_event;
	ret_item->ts_index = loaded->load->recv_at > 0 ? about->ts_recv : about->ts_event;
	if (failed) {
		refuse(self, record, ret_item);
		return;
	}
	ret_item->kind = SOURCE_RECORD;
	ret_item->type = loaded->load->type;
	ret_item->record = &self->filler.out;
	ret_item->lineage = &self->filler.out.head.lineage;
	ret_item->symbol = self->filler.out.head.symbol;
}

static bool next_mapping(struct dbn_format *self, struct source_item *ret_item)
{
	struct symbol_mapping *out = &self->mappings.out;

	if (!self->with_mappings || !dbn_mappings_next(&self->mappings, dbn_metadata(self->reader)))
		return false;
	*ret_item = (struct source_item){
		.kind = SOURCE_RECORD,
		.type = &symbol_mapping_type,
		.record = out,
		.lineage = (struct lineage *)&out->attempt,
		.symbol = out->symbol,
		.schema = out->schema.data,
	};
	return true;
}

/* The metadata, where it is still to come. */
static enum dbn_step await_metadata(struct dbn_format *self, struct err *err)
{
	enum dbn_step step = self->task ? dbn_begin(self->reader, err) : DBN_READ;

	if (step == DBN_READ && self->task && begin(self, self->task, err))
		return DBN_FAILED;
	return step;
}

static int next_item(struct format *format, struct source_item *ret_item, struct err *err)
{
	struct dbn_format *self = (struct dbn_format *)format;
	struct dbn_record record;
	enum dbn_step step = await_metadata(self, err);

	if (step == DBN_READ && next_mapping(self, ret_item))
		return 0;
	if (step == DBN_READ)
		step = dbn_next(self->reader, &record, err);
	if (step == DBN_FAILED)
		return -1;
	*ret_item = (struct source_item){ .kind = step == DBN_LATER ? SOURCE_LATER : SOURCE_END,
					  .schema = self->schema,
					  .ready_ns = INT64_MAX };
	if (step == DBN_READ)
		take(self, &record, ret_item);
	return 0;
}

static int get_fd(const struct format *format)
{
	return dbn_fd(((const struct dbn_format *)format)->reader);
}

static int64_t get_input_bytes(const struct format *format)
{
	return dbn_input_bytes(((const struct dbn_format *)format)->reader);
}

const struct format_ops format_dbn_ops = {
	.name = "dbn",
	.open = open_format,
	.next = next_item,
	.fd = get_fd,
	.input_bytes = get_input_bytes,
	.free = free_format,
};
