#include "stages/fetcher/formats/databento_text.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/mem.h"
#include "common/number_text.h"
#include "common/time_text.h"

#define TBBO 3
#define MBP_1 1

/* The head of every record. */
static const struct databento_field head_fields[] = {
	{ "rtype", DBN_U8, 1, 0, true },
	{ "publisher_id", DBN_U16, 2, 0, true },
	{ "instrument_id", DBN_U32, 4, 0, true },
	{ "ts_event", DBN_TIME, 8, 0, true },
};

#define HEAD_FIELDS (sizeof(head_fields) / sizeof(*head_fields))

static const struct dbn_load *find_load(uint16_t schema)
{
	for (unsigned i = 0; i < dbn_load_count; i++)
		if (dbn_loads[i].schema == schema)
			return &dbn_loads[i];
	return NULL;
}

int databento_text_open(struct databento_text *self, const struct fetch_task *task, struct err *err)
{
	if (!task->dataset || !task->dataset[0])
		return err_set(err, ERR_RECORD,
			       "the task names no dataset, and the vendor's CSV and JSON do not either: set the "
			       "subscription's dataset");
	if (task->schema && task->schema[0]) {
		self->load = find_load(dbn_schema_number(str_of(task->schema)));
		if (!self->load)
			return err_set(err, ERR_RECORD,
				       "schema %s cannot be loaded from a file (supported: " DBN_LOADED ")",
				       task->schema);
	}
	self->dataset = mem_strdup(task->dataset);
	return 0;
}

void databento_text_release(struct databento_text *self)
{
	dbn_filler_release(&self->filler);
	symbol_shelf_release(&self->shelf);
	free(self->dataset);
}

/* --- fields ------------------------------------------------------------------------------------------------------------ */

static unsigned size_of(enum dbn_kind kind)
{
	switch (kind) {
	case DBN_U8:
	case DBN_I8:
	case DBN_CHAR:
		return 1;
	case DBN_U16:
	case DBN_I16:
		return 2;
	case DBN_U32:
	case DBN_I32:
		return 4;
	default:
		return 8;
	}
}

static void store(uint8_t *record, const struct databento_field *field, uint64_t value)
{
	value = htole64(value);
	memcpy(record + field->at, &value, size_of(field->kind));
}

/* What says "undefined". */
static uint64_t greatest(enum dbn_kind kind)
{
	unsigned bits = 8 * size_of(kind);
	bool is_signed = kind == DBN_I8 || kind == DBN_I16 || kind == DBN_I32 || kind == DBN_I64 || kind == DBN_PRICE;

	return UINT64_MAX >> (64 - bits) >> is_signed;
}

/* In the first version too, perhaps as another kind. */
static bool in_first(const struct dbn_type *type, const char *name)
{
	for (const struct dbn_field *f = type->fields; f->name; f++)
		if (strcmp(f->name, name) == 0 && f->at[0] > 0)
			return true;
	return false;
}

static void add_field(struct databento_text *self, const struct databento_field *field, bool undef)
{
	if (self->field_count == DATABENTO_FIELDS_MAX)
		return;
	self->fields[self->field_count++] = *field;
	if (undef || field->kind == DBN_PRICE || field->kind == DBN_TIME)
		store(self->blank, field, greatest(field->kind));
}

void databento_text_fields(struct databento_text *self, uint8_t rtype, unsigned version)
{
	const struct dbn_type *type = dbn_type_of(rtype);

	if (self->version != version) { /* the filler's plan is of the other one */
		free(self->filler.plan);
		self->filler.plan = NULL;
	}
	self->rtype = rtype;
	self->version = version;
	self->filler.version = version;
	self->bytes = type->bytes[version - 1];
	self->field_count = 0;
	memset(self->blank, 0, sizeof(self->blank));
	self->blank[0] = (uint8_t)(self->bytes / 4);
	for (unsigned i = 0; i < HEAD_FIELDS; i++)
		add_field(self, &head_fields[i], false);
	for (const struct dbn_field *f = type->fields; f->name; f++) {
		struct databento_field field = { f->name, f->kind, f->at[version - 1], f->bytes, false };

		field.required = f->at[DBN_VERSION - 1] > 0 && in_first(type, f->name);
		if (field.at > 0)
			add_field(self, &field, f->undef);
	}
}

int databento_text_find(const struct databento_text *self, struct str name)
{
	for (unsigned i = 0; i < self->field_count; i++)
		if (str_eq(name, str_of(self->fields[i].name)))
			return (int)i;
	return -1;
}

/* --- values ------------------------------------------------------------------------------------------------------------ */

void databento_text_begin(struct databento_text *self)
{
	memcpy(self->record, self->blank, self->bytes);
}

static int refuse(const struct databento_field *field, struct str text, const char *what, struct err *why)
{
	char shown[STR_SHOWN_MAX];

	return err_set(why, ERR_RECORD, "%s '%s' %s", field->name, str_show(text, shown), what);
}

static int put_integer(struct databento_text *self, const struct databento_field *field, struct str text,
		       struct err *why)
{
	unsigned bits = 8 * size_of(field->kind);
	uint64_t most = greatest(field->kind), u;
	int64_t i;

	if (text.len == 0)
		return err_set(why, ERR_RECORD, "%s is empty", field->name);
	if (text.data[0] != '-') {
		if (!number_text_u64(text, &u) || u > most)
			return refuse(field, text, "is no whole number that fits", why);
	} else {
		bool is_signed = most != UINT64_MAX >> (64 - bits);

		if (!is_signed || !number_text_i64(text, &i) || i < -(int64_t)most - 1)
			return refuse(field, text, "is no whole number that fits", why);
		u = (uint64_t)i;
	}
	store(self->record, field, u);
	return 0;
}

static int put_price(struct databento_text *self, const struct databento_field *field, struct str text, struct err *why)
{
	bool pretty = memchr(text.data, '.', text.len), rounded = false;
	int64_t price;

	if (text.len == 0)
		return 0;
	if (self->prices != PRICES_UNKNOWN && pretty != (self->prices == PRICES_PRETTY))
		return refuse(field, text,
			      pretty ? "has a point; the file's prices before it are raw, in units of 1e-9"
				     : "has no point; the file's prices before it have one",
			      why);
	if (pretty && number_text_price(text, NUMBER_EXACT, &price, &rounded, why))
		return err_wrap(why, "%s", field->name);
	if (!pretty && !number_text_i64(text, &price))
		return refuse(field, text, "is neither a price with a point nor a whole number of 64 bits", why);
	self->prices = pretty ? PRICES_PRETTY : PRICES_RAW;
	store(self->record, field, (uint64_t)price);
	return 0;
}

/* Whether ns fit 63 bits is judged where all of the record is known, as of a DBN file. */
static int put_time(struct databento_text *self, const struct databento_field *field, struct str text, struct err *why)
{
	static const struct time_format iso = TIME_FORMAT_INIT;
	uint64_t ns;
	int64_t parsed;

	if (text.len == 0)
		return 0;
	if (!number_text_u64(text, &ns)) {
		if (time_text_parse(&iso, text, &parsed, why))
			return err_wrap(why, "%s", field->name);
		if (parsed < 0)
			return refuse(field, text, "is before 1970", why);
		ns = (uint64_t)parsed;
	}
	store(self->record, field, ns);
	return 0;
}

static int put_text(struct databento_text *self, const struct databento_field *field, struct str text, struct err *why)
{
	uint32_t most = field->kind == DBN_CHAR ? 1 : field->bytes;

	if (text.len > most)
		return refuse(field, text, "is longer than the vendor's field", why);
	if (!str_is_text(text))
		return refuse(field, text, "is not UTF-8", why);
	memcpy(self->record + field->at, text.data, text.len);
	return 0;
}

int databento_text_put(struct databento_text *self, unsigned i, struct str text, struct err *why)
{
	const struct databento_field *field = &self->fields[i];

	switch (field->kind) {
	case DBN_PRICE:
		return put_price(self, field, text, why);
	case DBN_TIME:
		return put_time(self, field, text, why);
	case DBN_CHAR:
	case DBN_TEXT:
		return put_text(self, field, text, why);
	default:
		return put_integer(self, field, text, why);
	}
}

/* --- records ----------------------------------------------------------------------------------------------------------- */

int databento_text_settle(struct databento_text *self, struct err *why)
{
	uint8_t rtype = self->record[1];
	const struct dbn_type *type = dbn_type_of(rtype);

	if (self->load && self->load->rtype != rtype)
		return err_set(why, ERR_RECORD, "the file's rtype %u is %s, the task's schema is %s", rtype,
			       type ? type->name : "not known", dbn_schema_name(self->load->schema));
	if (self->load)
		return 0;
	if (type && type->schema == MBP_1)
		return err_set(why, ERR_RECORD,
			       "rtype 1 is tbbo or mbp-1: set the subscription's schema, if it is tbbo");
	self->load = type ? find_load(type->schema) : NULL;
	if (self->load)
		return 0;
	return err_set(why, ERR_RECORD, "rtype %u (%s) cannot be loaded from a file (supported: " DBN_LOADED ")", rtype,
		       type ? type->name : "not known");
}

static struct dbn_record head_of(const struct databento_text *self)
{
	struct bytes in = bytes_of(self->record, self->bytes);
	struct dbn_record head = { .bytes = { (const char *)self->record, self->bytes } };

	bytes_take(&in, 1);
	head.rtype = bytes_u8(&in);
	head.publisher_id = bytes_le16(&in);
	head.instrument_id = bytes_le32(&in);
	head.ts_event = bytes_le64(&in);
	return head;
}

/* Undefined becomes 0, as do those out of range. */
static int64_t known_time(uint64_t ns)
{
	return ns > INT64_MAX ? 0 : (int64_t)ns;
}

static uint64_t ts_recv_of(const struct databento_text *self)
{
	struct bytes in = bytes_of(self->record, self->bytes);

	if (self->load->recv_at == 0)
		return 0;
	bytes_take(&in, self->load->recv_at);
	return bytes_le64(&in);
}

static int refuse_time(const char *what, uint64_t ns, struct err *why)
{
	if (ns == DBN_UNDEF_TIMESTAMP)
		return err_set(why, ERR_RECORD, "%s is undefined", what);
	return err_set(why, ERR_RECORD, "%s %" PRIu64 " is out of range", what, ns);
}

static int check_times(const struct databento_text *self, const struct dbn_record *head, struct err *why)
{
	bool optional = self->load->ts_event_optional;

	if (head->ts_event > INT64_MAX && !(optional && head->ts_event == DBN_UNDEF_TIMESTAMP))
		return refuse_time("ts_event", head->ts_event, why);
	if (ts_recv_of(self) > INT64_MAX)
		return refuse_time("ts_recv", ts_recv_of(self), why);
	return 0;
}

static int check_symbol(const struct databento_text *self, struct str *symbol, struct err *why)
{
	char shown[STR_SHOWN_MAX];

	if (symbol->len == 0 && !self->load->names_itself)
		return err_set(why, ERR_RECORD, "symbol is empty");
	if (symbol->len <= DATABENTO_SYMBOL_MAX && str_is_text(*symbol))
		return 0;
	err_set(why, ERR_RECORD, "symbol '%s' is %s", str_show(*symbol, shown),
		symbol->len > DATABENTO_SYMBOL_MAX ? "too long" : "not UTF-8");
	*symbol = (struct str){ "", 0 };
	return -1;
}

static void set_about(struct databento_text *self, const struct dbn_record *head)
{
	struct dbn_about *about = &self->about;

	about->schema = str_of(dbn_schema_name(self->load->schema));
	about->dataset = str_of(self->dataset);
	about->ts_recv = known_time(ts_recv_of(self));
	about->ts_event_known = head->ts_event <= INT64_MAX && (head->ts_event > 0 || !self->load->ts_event_optional);
	about->ts_event = about->ts_event_known ? (int64_t)head->ts_event : 0;
}

int databento_text_fill(struct databento_text *self, struct str symbol, struct source_item *ret_item, struct err *why)
{
	struct dbn_record head = head_of(self);
	bool ties = self->load->recv_at > 0 && !self->load->names_itself;

	ret_item->kind = SOURCE_SKIPPED;
	if (head.rtype != self->load->rtype) {
		if (!dbn_type_of(head.rtype))
			return err_set(why, ERR_RECORD, "record type 0x%02X is not known", head.rtype);
		ret_item->schema = dbn_type_of(head.rtype)->name;
		return 0;
	}
	set_about(self, &head);
	ret_item->schema = self->about.schema.data;
	ret_item->ts_event = self->about.ts_event;
	if (check_symbol(self, &symbol, why))
		return -1;
	ret_item->symbol = symbol;
	if (check_times(self, &head, why))
		return -1;
	self->about.symbol = ties ? symbol_shelf_put(&self->shelf, self->about.ts_recv, symbol) : symbol;
	if (dbn_fill(&self->filler, self->load, &head, &self->about, why))
		return -1;
	if (symbol.len > 0)
		self->filler.out.head.symbol = symbol;
	ret_item->kind = SOURCE_RECORD;
	ret_item->type = self->load->type;
	ret_item->record = &self->filler.out;
	ret_item->lineage = &self->filler.out.head.lineage;
	ret_item->symbol = self->filler.out.head.symbol;
	return 0;
}
