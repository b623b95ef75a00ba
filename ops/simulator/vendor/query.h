#pragma once
/* What get_range, the questions about it and batch jobs have in common: dataset, schema, window, symbols. */
#include "ops/simulator/market/stream.h"
#include "ops/simulator/market/symbology.h"
#include "ops/simulator/records/layout.h"
#include "ops/simulator/vendor/answer.h"
#include "ops/simulator/vendor/request.h"
#include "ops/simulator/vendor/simulator.h"

struct query {
	struct simulator *simulator;
	char key[API_KEY_LENGTH + 1];
	const struct dataset *dataset;
	struct stream_window window;
	const struct layout *layout;
	uint8_t stype_in, stype_out;
	char *symbols; /* as they were asked for */
	struct resolution resolution;
	struct history *history;
	enum encoding encoding;
	bool zstd;
	struct text_style style;
};

/* -1: the answer says what the vendor says to such a request. */
int query_open(struct query *ret, struct simulator *simulator, const struct request *request, struct answer *answer);
void query_release(struct query *query);

/* Of these calls and others: the parts. */
const struct dataset *query_dataset(const struct request *request, struct answer *answer);
int query_stype(const struct request *request, const char *name, uint8_t fallback, uint8_t *ret, struct answer *answer);
int query_resolve(struct resolution *ret, const struct instruments *instruments, uint8_t stype_in, const char *symbols,
		  int32_t first_day, int32_t end_day, struct answer *answer);

/* Records of a part of the window; free with stream_freep(). symbol: only this one's; UINT32_MAX: all. */
struct stream *query_stream(const struct query *query, int64_t start, int64_t end, uint32_t symbol);

/* Whether somebody asked for a weekend, when nobody trades. */
bool query_is_idle(const struct query *query);
uint16_t query_record_bytes(const struct query *query);
