#include "stages/fetcher/sources/databento/call.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/json_in.h"
#include "common/log.h"
#include "common/mem.h"
#include "stages/fetcher/formats/byte_stream.h"
#include "stages/fetcher/metrics.h"
#include "stages/fetcher/sources/databento/account.h"

#define ANSWER_MAX (64 * 1024 * 1024)
#define FORM_MAX (1024 * 1024)
#define CHUNK_BYTES 65536
#define RETRY_AFTER_MAX_S 3600

void databento_call_init(struct databento_call *call, const struct source_env *env)
{
	*call = (struct databento_call){
		.env = env,
		.form = BUF_INIT(FORM_MAX),
		.answer = BUF_INIT(ANSWER_MAX),
		.backoff = { env->databento->backoff_ms, env->databento->backoff_ms_max, 0 },
	};
}

void databento_call_release(struct databento_call *call)
{
	http_transfer_freep(&call->transfer);
	buf_release(&call->form);
	buf_release(&call->answer);
}

/* --- what is asked ----------------------------------------------------------------------------------------------------- */

void databento_call_begin(struct databento_call *call, enum databento_method method, const char *name)
{
	http_transfer_freep(&call->transfer);
	buf_reset(&call->form);
	buf_reset(&call->answer);
	call->name = name;
	call->post = method == DATABENTO_POST;
	call->streamed = call->answered = false;
	call->range_from = call->body_bytes = 0;
	databento_call_progress(call);
}

void databento_call_field(struct databento_call *call, const char *name, struct str value)
{
	http_put_field(&call->form, name, value);
}

void databento_call_time(struct databento_call *call, const char *name, int64_t ns)
{
	char text[CLOCK_TEXT_MAX];

	clock_format(ns, 9, text);
	databento_call_field(call, name, str_of(text));
}

void databento_call_date(struct databento_call *call, const char *name, int32_t day)
{
	char text[CLOCK_TEXT_MAX];

	clock_format_date(day, text);
	databento_call_field(call, name, str_of(text));
}

/* --- its turn ------------------------------------------------------------------------------------------------------------ */

static void send_call(struct databento_call *call)
{
	const struct databento_account *account = call->env->databento;
	bool query = !call->post && call->form.len > 0;
	CLEANUP(freep)
	char *url = mem_printf("%s/v0/%s%s%s", account->url, call->name, query ? "?" : "",
			       query ? buf_text(&call->form) : "");

	call->answered = false;
	if (call->env->calls)
		call->env->calls->made++;
	buf_reset(&call->answer);
	call->started_ns = clock_monotonic_ns();
	call->transfer = http_start(call->env->http, &(struct http_call){
							     .url = url,
							     .form = call->post ? buf_text(&call->form) : NULL,
							     .user = account->key,
							     .ca_file = account->ca_file,
							     .range_from = call->range_from,
							     .stall_s = account->stall_s,
						     });
}

/* What the guides grep for: calls left at once, when all of them are again, and whether somebody held us back. */
static void log_call(const struct databento_call *call, enum log_level level, bool throttled, const char *message)
{
	const struct limiter *limiter = call->env->limiter;
	int64_t now = clock_monotonic_ns(), reset = limiter->due_ns > now ? limiter->due_ns : now;
	char at[CLOCK_TEXT_MAX], request[80] = "";

	if (call->not_before_ns > reset)
		reset = call->not_before_ns;
	clock_format(clock_now_ns() + reset - now, 3, at);
	if (call->transfer)
		http_header(call->transfer, "request-id", request, sizeof(request));
	log_write(level, throttled ? "api_throttled" : "api_call",
		  LOG_FIELDS(log_str("source", "databento"), log_str("call", call->name),
			     log_i64("status", call->transfer ? http_status(call->transfer) : 0),
			     log_i64("ms", (now - call->started_ns) / NS_PER_MS), log_str("request_id", request),
			     log_i64("remaining_calls", limiter_left(limiter, now)), log_str("reset_time", at),
			     log_str("throttle_applied", throttled ? "true" : "false")),
		  "API call %s %s", call->name, message);
}

/* False: it is not to be made, as its task may not spend more. */
static bool may_call(const struct databento_call *call, struct err *err)
{
	struct source_calls *calls = call->env->calls;

	if (!calls || calls->max == 0 || calls->made < calls->max)
		return true;
	calls->used_up = true;
	err_set(err, ERR_RECORD, "databento: %s: the task may make %" PRId64 " calls only", call->name, calls->max);
	return false;
}

/* True: it went out. */
static bool take_turn(struct databento_call *call, int64_t *ready_ns)
{
	int64_t now = clock_monotonic_ns(), at;

	*ready_ns = call->not_before_ns;
	if (now < call->not_before_ns)
		return false;
	at = limiter_take(call->env->limiter, now);
	metric_set(&fetcher_metrics[FETCHER_VENDOR_LEFT], limiter_left(call->env->limiter, now));
	if (at == 0)
		return send_call(call), true;
	call->not_before_ns = *ready_ns = at;
	metric_add(&fetcher_metrics[FETCHER_VENDOR_THROTTLED], 1);
	log_call(call, LOG_INFO, true, "waits for its turn: rate limit, our own");
	return false;
}

/* --- trying again ---------------------------------------------------------------------------------------------------------- */

/* Seconds only: what the vendor is known to send. 0 where it says nothing. */
static int64_t retry_after_ns(struct databento_call *call)
{
	char text[32];
	long seconds;

	if (!call->transfer || !http_header(call->transfer, "retry-after", text, sizeof(text)))
		return 0;
	seconds = strtol(text, NULL, 10);
	if (seconds < 0)
		return 0;
	return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * NS_PER_SECOND;
}

int databento_call_again(struct databento_call *call, const char *why, struct err *err)
{
	int64_t told = retry_after_ns(call), wait = backoff_ns(&call->backoff);
	bool rate = call->transfer && http_status(call->transfer) == 429;
	char message[480];

	if (++call->failures >= call->env->databento->tries_max) {
		if (call->env->trouble)
			*call->env->trouble = true;
		return err_set(err, ERR_RECORD, "databento: %s: given up after %u tries: %s", call->name,
			       call->failures, why);
	}
	metric_add(&fetcher_metrics[FETCHER_VENDOR_RETRIES], 1);
	call->not_before_ns = clock_monotonic_ns() + (told > wait ? told : wait);
	snprintf(message, sizeof(message), "failed: %s%s; tried again in %" PRId64 " ms", rate ? "rate limit: " : "",
		 why, (told > wait ? told : wait) / NS_PER_MS);
	log_call(call, LOG_WARNING, rate, message);
	http_transfer_freep(&call->transfer);
	call->answered = false;
	return 0;
}

void databento_call_progress(struct databento_call *call)
{
	call->failures = 0;
	backoff_reset(&call->backoff);
}

/* --- answers ----------------------------------------------------------------------------------------------------------------- */

static bool passes(long status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static void copy_text(char *to, size_t size, const json_t *value)
{
	snprintf(to, size, "%s", json_is_string(value) ? json_string_value(value) : "");
}

/* {"detail": "text"} or {"detail": {"case", "message", "payload": {"available_end"}}} */
static void read_refusal(struct databento_call *call)
{
	CLEANUP(json_freep) json_t *json = json_loadb((const char *)call->answer.data, call->answer.len, 0, NULL);
	const json_t *detail = json_object_get(json, "detail");
	const json_t *end = json_object_get(json_object_get(detail, "payload"), "available_end");
	struct databento_refusal *refusal = &call->refusal;

	*refusal = (struct databento_refusal){ .status = http_status(call->transfer) };
	copy_text(refusal->case_name, sizeof(refusal->case_name), json_object_get(detail, "case"));
	copy_text(refusal->message, sizeof(refusal->message),
		  json_is_object(detail) ? json_object_get(detail, "message") : detail);
	if (!refusal->message[0])
		snprintf(refusal->message, sizeof(refusal->message), "%.*s",
			 call->answer.len < 200 ? (int)call->answer.len : 200, (const char *)call->answer.data);
	if (json_is_string(end) && !clock_parse(str_of(json_string_value(end)), &refusal->available_end))
		refusal->available_end = 0;
}

static void log_warnings(struct databento_call *call)
{
	char text[400];

	if (http_header(call->transfer, "x-warning", text, sizeof(text)))
		log_warning("api_warning", LOG_FIELDS(log_str("source", "databento"), log_str("call", call->name)),
			    "%s", text);
}

/* The rest of a body that is read whole. True: it is complete. */
static bool read_body(struct databento_call *call)
{
	bool ended = http_state(call->transfer) == HTTP_ENDED; /* asked first: what came before is readable then */
	uint8_t *room;
	size_t n;

	do {
		room = buf_room(&call->answer, CHUNK_BYTES);
		n = room ? http_read(call->transfer, room, CHUNK_BYTES) : 0;
		call->answer.len += n;
		call->body_bytes += (int64_t)n;
	} while (n > 0);
	return ended;
}

static int give_up_or_again(struct databento_call *call, struct err *err)
{
	char why[400];

	read_refusal(call);
	snprintf(why, sizeof(why), "HTTP %ld %s", call->refusal.status, call->refusal.message);
	return databento_call_again(call, why, err);
}

static void count(const struct databento_call *call, long status)
{
	fetcher_count_call("databento", call->name, status);
}

static void log_end(const struct databento_call *call, bool good)
{
	char message[480];

	snprintf(message, sizeof(message), "failed: HTTP %ld %s", http_status(call->transfer), call->refusal.message);
	log_call(call, good ? LOG_INFO : LOG_WARNING, false, good ? "is answered" : message);
}

static int take_answer(struct databento_call *call, enum call_step *ret, struct err *err)
{
	long status = http_status(call->transfer);
	bool good = status == 200 || status == 206;

	if (good && call->streamed) {
		count(call, status);
		log_warnings(call);
		log_call(call, LOG_INFO, false, "is answered: the body arrives");
		call->answered = true;
		*ret = CALL_ANSWERED;
		return 0;
	}
	if (!read_body(call)) {
		if (call->answer.overflow)
			return err_set(err, ERR_RECORD, "databento: %s: an answer of more than %d bytes", call->name,
				       ANSWER_MAX);
		if (http_state(call->transfer) != HTTP_FAILED)
			return 0;
		count(call, 0);
		return databento_call_again(call, http_failure(call->transfer), err);
	}
	count(call, status);
	if (passes(status))
		return give_up_or_again(call, err);
	log_warnings(call);
	call->answered = true;
	*ret = good ? CALL_ANSWERED : CALL_REFUSED;
	if (!good)
		read_refusal(call);
	log_end(call, good);
	return 0;
}

int databento_call_step(struct databento_call *call, enum call_step *ret, int64_t *ready_ns, struct err *err)
{
	enum http_state state;

	*ret = CALL_LATER;
	*ready_ns = INT64_MAX;
	if (!call->transfer && !may_call(call, err))
		return -1;
	if (!call->transfer && !take_turn(call, ready_ns))
		return 0;
	*ready_ns = INT64_MAX;
	state = http_state(call->transfer); /* asked first: an answer may come at any time, and an end has a status */
	if (http_status(call->transfer) == 0) {
		if (state == HTTP_GOING)
			return 0;
		count(call, 0);
		if (databento_call_again(call, http_failure(call->transfer), err))
			return -1;
		*ready_ns = call->not_before_ns;
		return 0;
	}
	if (take_answer(call, ret, err))
		return -1;
	if (!call->transfer)
		*ready_ns = call->not_before_ns;
	return 0;
}

ssize_t databento_call_input(void *opaque, uint8_t *to, size_t n, struct err *failure)
{
	struct databento_call *call = opaque;
	enum http_state state = http_state(call->transfer);
	size_t got = http_read(call->transfer, to, n);

	call->body_bytes += (int64_t)got;
	if (got > 0)
		return (ssize_t)got;
	if (state == HTTP_GOING)
		return BYTE_INPUT_LATER;
	if (state == HTTP_FAILED)
		err_set(failure, ERR_RETRY, "%s", http_failure(call->transfer));
	return 0;
}

json_t *databento_call_json(const struct databento_call *call, struct err *err)
{
	json_error_t why;
	json_t *json = json_loadb((const char *)call->answer.data, call->answer.len, JSON_DECODE_ANY, &why);

	if (!json)
		err_set(err, ERR_RECORD, "databento: %s: the answer is not JSON: %s", call->name, why.text);
	return json;
}
