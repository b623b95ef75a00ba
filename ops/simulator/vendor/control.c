/* What is not the vendor's: the meter, faults on demand, and what happens to data after it was published. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "ops/simulator/vendor/calls.h"
#include "ops/simulator/vendor/moment.h"

static void answer_err(struct answer *answer, const struct err *err)
{
	answer_detail(answer, err->kind == ERR_RETRY ? 507 : 400, err->text);
}

static void answer_id(struct answer *answer, uint64_t id)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	json_put_open(&json, '{');
	json_put_key(&json, "id");
	json_put_uint(&json, id);
	json_put_close(&json, '}');
	answer->status = 201;
	answer_json(answer, &buf);
}

static void answer_done(struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);

	buf_put_text(&buf, "{}");
	answer_json(answer, &buf);
}

static json_t *read_json(const struct request *request, struct err *err)
{
	json_error_t error;
	json_t *json = json_loadb((const char *)request->body.data, request->body.len, JSON_REJECT_DUPLICATES, &error);

	if (!json_is_object(json)) {
		err_set(err, ERR_RECORD, "a JSON object is needed: %s", json ? "this is none" : error.text);
		json_decref(json);
		return NULL;
	}
	return json;
}

/* --- meter and faults -------------------------------------------------------------------------------------------- */

void control_meter(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)request;
	meter_put(&simulator->meter, &json);
	answer_json(answer, &buf);
}

void control_reset_meter(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	(void)request;
	meter_reset(&simulator->meter);
	answer_done(answer);
}

void control_faults(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct buf buf = BUF_INIT(ANSWER_MAX);
	struct json_out json = JSON_OUT(&buf);

	(void)request;
	faults_put(&simulator->faults, &json);
	answer_json(answer, &buf);
}

void control_add_fault(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct err err = ERR_INIT;
	CLEANUP(json_freep) json_t *json = read_json(request, &err);
	struct fault fault;
	uint64_t id;

	if (!json || fault_parse_json(json, &fault, &err) || faults_add(&simulator->faults, &fault, &id, &err))
		answer_err(answer, &err);
	else
		answer_id(answer, id);
}

void control_clear_faults(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	(void)request;
	faults_clear(&simulator->faults);
	answer_done(answer);
}

/* --- what happened to data --------------------------------------------------------------------------------------- */

static int get_dataset(const json_t *json, bool needed, const struct dataset **ret, struct err *err)
{
	const char *name = json_string_value(json_object_get(json, "dataset"));

	*ret = name ? dataset_find(str_of(name)) : NULL;
	if (!*ret && (name || needed))
		return err_set(err, ERR_RECORD, "dataset: '%s' is none of those here", name ? name : "");
	return 0;
}

static int get_time(const json_t *json, const char *key, int64_t fallback, int64_t *ret, struct err *err)
{
	const char *text = json_string_value(json_object_get(json, key));
	int64_t unused;

	*ret = fallback;
	if (text && !moment_parse(text, ret, &unused))
		return err_set(err, ERR_RECORD, "%s: '%s' is no time", key, text);
	return *ret < 0 ? err_set(err, ERR_RECORD, "%s: a time is needed", key) : 0;
}

static void change(struct simulator *simulator, enum change_kind kind, const struct request *request,
		   struct answer *answer)
{
	struct err err = ERR_INIT;
	CLEANUP(json_freep) json_t *json = read_json(request, &err);
	const char *symbol = json_string_value(json_object_get(json, "symbol"));
	struct change to = { .kind = kind };
	int64_t modified;

	if (!json || get_dataset(json, true, &to.dataset, &err) || get_time(json, "start", -1, &to.start, &err) ||
	    get_time(json, "end", -1, &to.end, &err) ||
	    get_time(json, "modified", simulator->options.market.end_day * NS_PER_DAY, &modified, &err)) {
		answer_err(answer, &err);
		return;
	}
	to.modified_day = (int32_t)(modified / NS_PER_DAY);
	snprintf(to.symbol, sizeof(to.symbol), "%s", symbol ? symbol : "*");
	if (archive_change(&simulator->archive, &to, &err))
		answer_err(answer, &err);
	else
		answer_done(answer);
}

void control_correct(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	change(simulator, CHANGE_CORRECTION, request, answer);
}

void control_withdraw(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	change(simulator, CHANGE_WITHDRAWAL, request, answer);
}

void control_set_condition(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	struct err err = ERR_INIT;
	CLEANUP(json_freep) json_t *json = read_json(request, &err);
	const char *name = json_string_value(json_object_get(json, "condition"));
	struct day_state state = { 0 };
	int64_t day, modified;

	if (json && (!name || !day_condition_parse(str_of(name), &state.condition)))
		err_set(&err, ERR_RECORD, "condition: available, degraded, pending or missing");
	if (err.kind != ERR_OK || get_dataset(json, false, &state.dataset, &err) ||
	    get_time(json, "date", -1, &day, &err) ||
	    get_time(json, "modified", simulator->options.market.end_day * NS_PER_DAY, &modified, &err)) {
		answer_err(answer, &err);
		return;
	}
	state.day = (int32_t)(day / NS_PER_DAY);
	state.modified_day = (int32_t)(modified / NS_PER_DAY);
	if (archive_day(&simulator->archive, &state, &err))
		answer_err(answer, &err);
	else
		answer_done(answer);
}

void control_clear_history(struct simulator *simulator, const struct request *request, struct answer *answer)
{
	(void)request;
	archive_clear(&simulator->archive);
	answer_done(answer);
}
