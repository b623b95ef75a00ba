#include "ops/simulator/vendor/meter.h"

#include <string.h>

#define NONE UINT32_MAX

static uint32_t key_place(struct meter *meter, const char *key)
{
	uint32_t i = 0;

	while (i < meter->key_count && strcmp(meter->keys[i].key, key) != 0)
		i++;
	if (i == METER_KEYS_MAX)
		return NONE;
	if (i == meter->key_count) {
		meter->keys[meter->key_count++] = (struct meter_key){ 0 };
		memcpy(meter->keys[i].key, key, sizeof(meter->keys[i].key));
	}
	return i;
}

static bool same_window(const struct meter_window *a, const struct meter_window *b)
{
	return a->dataset == b->dataset && a->schema == b->schema && a->start == b->start && a->end == b->end &&
	       strcmp(a->key, b->key) == 0 && strcmp(a->symbols, b->symbols) == 0;
}

static uint32_t window_place(struct meter *meter, const struct meter_window *window)
{
	uint32_t i = 0;

	while (i < meter->window_count && !same_window(&meter->windows[i], window))
		i++;
	if (i == METER_WINDOWS_MAX)
		return NONE;
	if (i == meter->window_count)
		meter->windows[meter->window_count++] = *window;
	return i;
}

static void count(struct meter *meter, const struct meter_place *place, const struct meter_count *add)
{
	struct meter_count *to[] = {
		&meter->total,
		place->key == NONE ? NULL : &meter->keys[place->key].count,
		place->window == NONE ? NULL : &meter->windows[place->window].count,
	};

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		if (!to[i])
			continue;
		to[i]->requests += add->requests;
		to[i]->records += add->records;
		to[i]->bytes += add->bytes;
	}
}

struct meter_place meter_enter(struct meter *meter, const struct meter_window *window)
{
	struct meter_place place = { .meter = meter };

	pthread_mutex_lock(&meter->lock);
	place.key = key_place(meter, window->key);
	place.window = window_place(meter, window);
	place.resets = meter->resets;
	count(meter, &place, &(struct meter_count){ .requests = 1 });
	pthread_mutex_unlock(&meter->lock);
	return place;
}

void meter_add(const struct meter_place *place, uint64_t records, uint64_t bytes)
{
	pthread_mutex_lock(&place->meter->lock);
	if (place->resets == place->meter->resets)
		count(place->meter, place, &(struct meter_count){ .records = records, .bytes = bytes });
	pthread_mutex_unlock(&place->meter->lock);
}

void meter_reset(struct meter *meter)
{
	pthread_mutex_lock(&meter->lock);
	meter->total = (struct meter_count){ 0 };
	meter->key_count = meter->window_count = 0;
	meter->resets++;
	pthread_mutex_unlock(&meter->lock);
}

/* --- as JSON ----------------------------------------------------------------------------------------------------- */

static void put_count(struct json_out *json, const struct meter_count *c)
{
	json_put_key(json, "requests");
	json_put_uint(json, c->requests);
	json_put_key(json, "records");
	json_put_uint(json, c->records);
	json_put_key(json, "billed_bytes");
	json_put_uint(json, c->bytes);
}

static void put_text(struct json_out *json, const char *key, const char *text)
{
	json_put_key(json, key);
	json_put_str(json, str_of(text));
}

static void put_window(struct json_out *json, const struct meter_window *w)
{
	json_put_open(json, '{');
	put_text(json, "key", w->key);
	put_text(json, "dataset", w->dataset);
	put_text(json, "schema", w->schema);
	put_text(json, "symbols", w->symbols);
	json_put_key(json, "start");
	json_put_time(json, w->start);
	json_put_key(json, "end");
	json_put_time(json, w->end);
	put_count(json, &w->count);
	json_put_close(json, '}');
}

void meter_put(struct meter *meter, struct json_out *json)
{
	pthread_mutex_lock(&meter->lock);
	json_put_open(json, '{');
	put_count(json, &meter->total);
	json_put_key(json, "keys");
	json_put_open(json, '[');
	for (uint32_t i = 0; i < meter->key_count; i++) {
		json_put_open(json, '{');
		put_text(json, "key", meter->keys[i].key);
		put_count(json, &meter->keys[i].count);
		json_put_close(json, '}');
	}
	json_put_close(json, ']');
	json_put_key(json, "windows");
	json_put_open(json, '[');
	for (uint32_t i = 0; i < meter->window_count; i++)
		put_window(json, &meter->windows[i]);
	json_put_close(json, ']');
	json_put_close(json, '}');
	pthread_mutex_unlock(&meter->lock);
}
