#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/data_types.h"
#include "common/decimal.h"
#include "common/mem.h"
#include "stages/orchestrator/subscription_internal.h"

#define SYMBOLS_MAX 2000 /* what the vendor takes in one request */
#define SYMBOL_BYTES_MAX 128
#define ALL_SYMBOLS "ALL_SYMBOLS"
#define NAMES_MAX 400 /* bytes of a list in a message */
#define TIME_MIN INT64_C(0)
#define TIME_MAX (INT64_C(84000) * NS_PER_DAY) /* in 2199 */
#define COST_MAX_DEFAULT "1"

static const char *const stypes[] = { "raw_symbol", "parent", "continuous", "instrument_id", NULL };
static const char *const ways[] = { "stream", "batch", NULL };

/* Says "key 'text' is none of these"; the list is `names`. */
static int none_of(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		   const char *key, const char *text, struct buf *names, struct err *err)
{
	const struct yaml_node *node = yaml_get(doc, map, key);

	return yaml_error(doc, node ? node : map, err, "subscription %s: %s '%.64s' is none of %s", s->name, key, text,
			  buf_text(names));
}

/* *ret: which of the choices it is; the one called `fallback` where the key is absent. */
static int choose(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		  const char *key, const char *const *choices, const char *fallback, unsigned *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf names = BUF_INIT(NAMES_MAX);
	const char *text;

	if (yaml_get_text(doc, map, key, fallback, &text, err))
		return -1;
	for (*ret = 0; choices[*ret]; (*ret)++) {
		if (strcmp(choices[*ret], text) == 0)
			return 0;
		buf_printf(&names, "%s%s", *ret ? ", " : "", choices[*ret]);
	}
	return none_of(doc, map, s, key, text, &names, err);
}

static int read_schema(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err)
{
	CLEANUP(buf_release) struct buf names = BUF_INIT(NAMES_MAX);
	const struct data_schema *schema;

	if (subscription_required(doc, map, "schema", &s->schema, err))
		return -1;
	schema = data_schema_find(s->schema);
	if (schema) {
		s->vendor.record_type = data_types[schema->type].name;
		return 0;
	}
	for (unsigned i = 0; data_schemas[i].name; i++)
		buf_printf(&names, "%s%s", i ? ", " : "", data_schemas[i].name);
	buf_put_text(&names, ", which can be loaded");
	return none_of(doc, map, s, "schema", s->schema, &names, err);
}

/* What the vendor answers for nothing is not in its files. */
static int check_way(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		     struct err *err)
{
	const struct data_schema *schema = data_schema_find(s->schema);

	if (schema->type != DATA_SYMBOL_MAPPING || strcmp(s->vendor.via, ways[0]) == 0)
		return 0;
	return yaml_error(doc, yaml_get(doc, map, "via"), err, "subscription %s: schema %s comes via %s only", s->name,
			  s->schema, ways[0]);
}

/* --- symbols ----------------------------------------------------------------------------------------------------------- */

static bool is_symbol(const char *text)
{
	struct str s = str_of(text);

	if (s.len > SYMBOL_BYTES_MAX || !str_is_text(s))
		return false;
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == ',')
			return false;
	return true;
}

static int check_symbol(const struct yaml_doc *doc, const struct yaml_node *node, const struct subscription *s,
			unsigned index, struct err *err)
{
	const struct vendor_request *v = &s->vendor;
	const char *symbol = v->symbols[index];

	if (!is_symbol(symbol))
		return yaml_error(doc, node, err,
				  "subscription %s: symbols: '%.64s' is no symbol; several are a list: [A, B]", s->name,
				  symbol);
	if (strcmp(symbol, ALL_SYMBOLS) == 0 && (v->symbol_count > 1 || strcmp(v->stype_in, stypes[0]) != 0))
		return yaml_error(doc, node, err,
				  "subscription %s: symbols: " ALL_SYMBOLS " stands alone, with stype_in %s", s->name,
				  stypes[0]);
	for (unsigned i = 0; i < index; i++)
		if (strcmp(v->symbols[i], symbol) == 0)
			return yaml_error(doc, node, err, "subscription %s: symbols: '%.64s' stands here twice",
					  s->name, symbol);
	return 0;
}

static int read_symbols(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
			struct err *err)
{
	const struct yaml_node *node = yaml_get(doc, map, "symbols");
	const struct text_list symbols = {
		.key = "symbols",
		.what = "symbols: one, a list, or " ALL_SYMBOLS,
		.max = SYMBOLS_MAX,
		.ret = &s->vendor.symbols,
		.ret_count = &s->vendor.symbol_count,
	};

	if (subscription_texts(doc, map, s, &symbols, err))
		return -1;
	for (unsigned i = 0; i < s->vendor.symbol_count; i++) {
		const struct yaml_node *item = yaml_kind(node) == YAML_LIST ? yaml_item(doc, node, i) : node;

		if (check_symbol(doc, item, s, i, err))
			return -1;
	}
	return 0;
}

/* --- times and money --------------------------------------------------------------------------------------------------- */

/* *ret_has: whether it is there. */
static int read_time(const struct yaml_doc *doc, const struct yaml_node *map, const struct subscription *s,
		     const char *key, bool *ret_has, int64_t *ret, struct err *err)
{
	const char *text;

	if (yaml_get_text(doc, map, key, NULL, &text, err))
		return -1;
	*ret_has = text;
	if (!text || (clock_parse(str_of(text), ret) && *ret >= TIME_MIN && *ret <= TIME_MAX))
		return 0;
	return yaml_error(
		doc, yaml_get(doc, map, key), err,
		"subscription %s: %s '%.64s' is no date and no time of UTC between 1970 and 2199: 2024-01-31, "
		"2024-01-31T14:30:00Z",
		s->name, key, text);
}

static int read_times(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err)
{
	struct vendor_request *v = &s->vendor;
	bool has_start;

	if (read_time(doc, map, s, "start", &has_start, &v->start, err) ||
	    read_time(doc, map, s, "end", &v->has_end, &v->end, err))
		return -1;
	if (!has_start)
		return yaml_error(doc, map, err, "subscription %s: source %s needs a start", s->name, s->source);
	if (v->has_end && v->end <= v->start)
		return yaml_error(doc, yaml_get(doc, map, "end"), err,
				  "subscription %s: its end is not after its start", s->name);
	return 0;
}

static int read_cost(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s, struct err *err)
{
	const struct yaml_node *node = yaml_get(doc, map, "cost_max_usd");
	struct err why = ERR_INIT;
	const char *text;

	if (yaml_get_text(doc, map, "cost_max_usd", COST_MAX_DEFAULT, &text, err))
		return -1;
	if (decimal_parse(str_of(text), &s->vendor.cost_max, &why))
		return yaml_error(doc, node, err, "subscription %s: cost_max_usd: %s", s->name, why.text);
	if (s->vendor.cost_max < 0)
		return yaml_error(doc, node, err, "subscription %s: cost_max_usd: it is less than 0", s->name);
	return 0;
}

int subscription_read_databento(const struct yaml_doc *doc, const struct yaml_node *map, struct subscription *s,
				struct err *err)
{
	static const char *const keys[] = { "name",         "source",          "dataset", "schema", "symbols",
					    "stype_in",     "start",           "end",     "chunk",  "via",
					    "cost_max_usd", "symbol_mappings", NULL };
	unsigned stype, chunk, way;

	s->parameters = mem_strdup("");
	if (yaml_check_keys(doc, map, keys, err) || subscription_required(doc, map, "dataset", &s->dataset, err) ||
	    read_schema(doc, map, s, err) || choose(doc, map, s, "stype_in", stypes, stypes[0], &stype, err) ||
	    choose(doc, map, s, "chunk", window_chunks, window_chunks[CHUNK_MONTH], &chunk, err) ||
	    choose(doc, map, s, "via", ways, ways[0], &way, err))
		return -1;
	s->vendor.stype_in = stypes[stype];
	s->vendor.chunk = (enum window_chunk)chunk;
	s->vendor.via = ways[way];
	return check_way(doc, map, s, err) || read_symbols(doc, map, s, err) || read_times(doc, map, s, err) ||
			       read_cost(doc, map, s, err) || subscription_mappings(doc, map, s, err)
		       ? -1
		       : 0;
}
