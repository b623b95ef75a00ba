/*
 * Source databento over answers made of the input: first bytes choose what is
 * asked for, then each call takes [what becomes of it][length, two bytes][the
 * body]. Time is the target's own, so nothing waits.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/mem.h"
#include "stages/fetcher/pace.h"
#include "stages/fetcher/source.h"
#include "stages/fetcher/sources/databento/account.h"

static struct fuzz_bytes answers;
static int64_t now_ns;

/* The linker puts it in place of clock_monotonic_ns(): see the Makefile. */
int64_t __wrap_clock_monotonic_ns(void);
int64_t __wrap_clock_monotonic_ns(void)
{
	return now_ns;
}

/* --- the client, in place of common/http_client.c -------------------------------------------------------------------------- */

/* What becomes of a call: bits of its first byte. */
#define ANSWER_STATUS 0x07
#define ANSWER_BREAKS 0x08  /* off, behind its body */
#define ANSWER_HEADERS 0x10 /* has some */
#define ANSWER_PIECES 0xE0  /* how it arrives */

struct http_transfer {
	uint8_t kind;
	struct fuzz_bytes body;
	size_t arrived, read, piece;
};

struct http_transfer *http_start(struct http_client *client, const struct http_call *call)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 1, 7, 56, 300, 1000, 4096, 20000 };
	struct http_transfer *t = mem_zalloc(1, sizeof(*t));
	size_t length;

	FUZZ_CHECK(client && call->url && strncmp(call->url, "https://", 8) == 0 && call->range_from >= 0);
	t->kind = answers.len > 0 ? fuzz_take(&answers) : ANSWER_STATUS;
	length = fuzz_take(&answers);
	length |= (size_t)fuzz_take(&answers) << 8;
	t->body = fuzz_cut(&answers, length);
	t->piece = pieces[(t->kind & ANSWER_PIECES) >> 5];
	return t;
}

void http_transfer_freep(struct http_transfer **transfer)
{
	free(*transfer);
	*transfer = NULL;
}

/* It goes on between any two calls, as on its own thread. */
static bool has_ended(struct http_transfer *t)
{
	size_t left = t->body.len - t->arrived;

	t->arrived += left < t->piece ? left : t->piece;
	return t->arrived == t->body.len;
}

enum http_state http_state(struct http_transfer *t)
{
	bool fails = (t->kind & ANSWER_BREAKS) || (t->kind & ANSWER_STATUS) == ANSWER_STATUS;

	if (!has_ended(t))
		return HTTP_GOING;
	return fails ? HTTP_FAILED : HTTP_ENDED;
}

long http_status(struct http_transfer *t)
{
	static const long statuses[] = { 200, 200, 206, 400, 422, 429, 503, 0 };
	long status = t->arrived > 0 || t->body.len == 0 ? statuses[t->kind & ANSWER_STATUS] : 0;

	has_ended(t);
	return status;
}

bool http_header(struct http_transfer *t, const char *name, char *text, size_t size)
{
	if (!(t->kind & ANSWER_HEADERS))
		return false;
	snprintf(text, size, "%s", strcmp(name, "retry-after") == 0 ? "7" : "[\"one\", \"two\"]");
	return true;
}

size_t http_read(struct http_transfer *t, uint8_t *to, size_t n)
{
	size_t left = t->arrived - t->read;

	n = n < left ? n : left;
	memcpy(to, t->body.data + t->read, n);
	t->read += n;
	return n;
}

/* Nobody is told that what was well has failed. */
const char *http_failure(struct http_transfer *t)
{
	FUZZ_CHECK(http_state(t) == HTTP_FAILED);
	return "the connection broke";
}

void http_put_field(struct buf *form, const char *name, struct str value)
{
	buf_printf(form, "%s%s=%.*s", form->len > 0 ? "&" : "", name, STR_ARG(value));
}

/* --- the source -------------------------------------------------------------------------------------------------------------- */

static const char *const actions[] = { "{\"action\": \"quote\"}", "", "{\"via\": \"batch\"}" };
static const char *const schemas[] = { "ohlcv-1m", "trades", "tbbo", "statistics", "definition" };

static const struct databento_account account = {
	.url = "https://vendor",
	.key = "db-01234567890123456789simulated",
	.ca_file = "",
	.tries_max = 4,
	.stall_s = 60,
	.backoff_ms = 10,
	.backoff_ms_max = 100,
	.poll_ms = 1000,
};

static bool is_json(const char *text)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	bool is = json_is_object(json);

	json_decref(json);
	return is;
}

/* To its end, an error, or as many items as there may be; each wait brings something. */
static bool read_all(struct source *source, size_t size)
{
	struct source_item item = { .kind = SOURCE_LATER };
	unsigned items = 0;
	size_t waits = 0;
	struct err err = ERR_INIT;

	while (item.kind != SOURCE_END && item.kind != SOURCE_CHANGED && items < FUZZ_ITEMS_MAX) {
		if (source_next(source, &item, &err)) {
			FUZZ_CHECK(err.kind == ERR_RECORD && err.text[0]);
			return false;
		}
		FUZZ_CHECK(strlen(source_resume(source)) < SOURCE_RESUME_MAX && source_input_bytes(source) >= 0);
		if (item.kind != SOURCE_LATER) {
			fuzz_check_item(&item);
			items++;
			continue;
		}
		if (item.ready_ns != INT64_MAX && item.ready_ns > now_ns)
			now_ns = item.ready_ns;
		FUZZ_CHECK(++waits < 100 + 4 * size);
	}
	return item.kind == SOURCE_END;
}

/* What a source says of where it is, it takes. */
static void check_open(struct source **ret, const struct source_env *env, const struct fetch_task *task,
		       const char *resume)
{
	struct err err = ERR_INIT;

	FUZZ_CHECK(source_open(ret, env, task, resume, &err) == 0);
}

static void run(const struct source_env *env, const struct fetch_task *task, size_t size)
{
	CLEANUP(source_freep) struct source *source = NULL;
	CLEANUP(source_freep) struct source *next = NULL;
	char resume[SOURCE_RESUME_MAX];

	check_open(&source, env, task, "");
	if (read_all(source, size)) {
		const char *result = source_result(source);

		FUZZ_CHECK(strlen(result) <= TASK_RESULT_MAX && is_json(result));
	}
	snprintf(resume, sizeof(resume), "%s", source_resume(source));
	check_open(&next, env, task, resume);
	read_all(next, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char client; /* there is one; it is never looked into */
	struct fuzz_bytes bytes = { data, size };
	uint8_t all = fuzz_take(&bytes) & 1;
	char *symbols[] = { (char *)(all ? "ALL_SYMBOLS" : "AAPL"), (char *)"MSFT" };
	struct fetch_task task = {
		.attempt = ATTEMPT_MIN,
		.task = 11,
		.run = 7,
		.source = (char *)"databento",
		.subscription = (char *)"minutes",
		.dataset = (char *)"XNAS.ITCH",
		.schema = (char *)FUZZ_CHOOSE(&bytes, schemas),
		.parameters = (char *)FUZZ_CHOOSE(&bytes, actions),
		.symbols = symbols,
		.symbol_count = all ? 1 : 2,
		.has_start = true,
		.has_end = true,
		.start = INT64_C(1710115200) * NS_PER_SECOND,
		.end = INT64_C(1710201600) * NS_PER_SECOND,
	};
	struct limiter limiter;
	const struct source_env env = {
		.http = (struct http_client *)&client,
		.limiter = &limiter,
		.databento = &account,
		.spool = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "",
	};

	answers = bytes;
	now_ns = NS_PER_SECOND;
	limiter_init(&limiter, 6000, 10);
	run(&env, &task, size);
	return 0;
}
