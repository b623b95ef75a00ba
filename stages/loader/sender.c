#include "stages/loader/sender.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/dead_letter.h"
#include "common/fault.h"
#include "common/kafka_courier.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/thread.h"
#include "common/wakeup.h"

#define LETTERS_MAX 500 /* of one transaction */
#define LETTERS_MAX_TEXT "500"
#define BYTES_MAX_TEXT "16777216" /* of their values, but for the last one's */
#define DELIVERY_MS 20000
#define STOPPING_MS 2000 /* the same for what is under way when the process ends */
#define IDLE_MS 5000
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 5000
#define ARRAY_TEXT_MAX (1024 * 1024)
#define BYTES_MAX ((size_t)64 * 1024 * 1024)

struct sender {
	const struct config *cfg;
	const char *topic;
	char *owner;
	struct sender_metrics metrics;

	pthread_t thread;
	bool running;
	struct wakeup wakeup;
	struct err failed; /* for good; the thread's until it has ended */

	/* The thread's. */
	struct pg *pg;
	struct kafka_courier *courier;
	struct kafka_receipt receipts[LETTERS_MAX];
	struct buf bytes;
};

/* --- between the threads --------------------------------------------------------------------------------------------- */

void sender_wake(struct sender *sender)
{
	wakeup_wake(&sender->wakeup);
}

static void give_up(struct sender *sender, const struct err *why)
{
	log_err("sender_gave_up", why);
	sender->failed = *why;
	kill(getpid(), SIGTERM);
}

/* --- one transaction's letters --------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Appends the bytes of a bytea that came as text ("\x6869", or "" for null); how many. */
static uint32_t put_bytea(struct buf *bytes, const char *text)
{
	size_t digits = strlen(text), n = digits < 2 ? 0 : (digits - 2) / 2;
	uint8_t *room = n > 0 ? buf_room(bytes, n) : NULL;

	if (!room)
		return 0;
	for (size_t i = 0; i < n; i++, text += 2)
		room[i] = (uint8_t)(hex_digit(text[2]) << 4 | hex_digit(text[3]));
	bytes->len += n;
	return (uint32_t)n;
}

static int take_letters(struct sender *sender, int64_t after, struct pg_result **letters, struct pg_result **headers,
			struct err *err)
{
	char first[PG_INT_MAX], last[PG_INT_MAX], from[PG_INT_MAX];

	if (pg_query(sender->pg,
		     "SELECT id, key, value FROM"
		     " (SELECT id, key, value, octet_length(value) AS size,"
		     "         sum(octet_length(value)) OVER (ORDER BY id) AS sizes FROM"
		     "  (SELECT id, key, coalesce(value, '') AS value FROM etl.dead_letters"
		     "    WHERE letter_topic IS NULL AND id > $1"
		     "    ORDER BY id LIMIT " LETTERS_MAX_TEXT " FOR UPDATE SKIP LOCKED) AS locked) AS measured"
		     " WHERE sizes - size < " BYTES_MAX_TEXT " ORDER BY id",
		     PG_PARAMS(pg_int_text(after, from)), letters, err))
		return -1;
	if (pg_rows(*letters) == 0)
		return 0;
	pg_int_text(pg_int(*letters, 0, 0), first);
	pg_int_text(pg_int(*letters, pg_rows(*letters) - 1, 0), last);
	return pg_query(sender->pg,
			"SELECT id, h.key, h.value FROM etl.dead_letters, jsonb_each_text(headers) AS h"
			" WHERE letter_topic IS NULL AND id BETWEEN $1 AND $2 ORDER BY id",
			PG_PARAMS(first, last), headers, err);
}

/* The headers of one letter; *at is where its rows begin, or those of letters that somebody else has locked. */
static unsigned read_headers(const struct pg_result *headers, int64_t id, int *at,
			     struct kafka_header list[DEAD_LETTER_HEADERS_MAX])
{
	unsigned count = 0;

	while (*at < pg_rows(headers) && pg_int(headers, *at, 0) < id)
		++*at;
	for (; *at < pg_rows(headers) && pg_int(headers, *at, 0) == id; ++*at)
		if (count < DEAD_LETTER_HEADERS_MAX)
			list[count++] =
				(struct kafka_header){ pg_text(headers, *at, 1), str_of(pg_text(headers, *at, 2)) };
	return count;
}

static int send_letters(struct sender *sender, const struct pg_result *letters, const struct pg_result *headers,
			struct err *err)
{
	struct kafka_header list[DEAD_LETTER_HEADERS_MAX];
	int at = 0;

	for (int row = 0; row < pg_rows(letters); row++) {
		unsigned count = read_headers(headers, pg_int(letters, row, 0), &at, list);
		uint32_t key_len, value_len;
		const char *bytes;

		buf_reset(&sender->bytes);
		key_len = put_bytea(&sender->bytes, pg_text(letters, row, 1));
		value_len = put_bytea(&sender->bytes, pg_text(letters, row, 2));
		bytes = (const char *)sender->bytes.data;
		const struct str key = { key_len ? bytes : NULL, key_len };
		const struct str value = { value_len ? bytes + key_len : NULL, value_len };

		if (kafka_courier_send(sender->courier, key, value, list, count, &sender->receipts[row], err))
			return -1;
	}
	return 0;
}

static void await_receipts(struct sender *sender)
{
	int64_t deadline = clock_monotonic_ns() + DELIVERY_MS * NS_PER_MS;
	bool ending = false;

	while (kafka_courier_poll(sender->courier, 50) > 0 && clock_monotonic_ns() < deadline)
		if (!ending && wakeup_stopped(&sender->wakeup)) {
			int64_t sooner = clock_monotonic_ns() + STOPPING_MS * NS_PER_MS;

			ending = true;
			deadline = sooner < deadline ? sooner : deadline;
		}
}

static int write_places(struct sender *sender, struct buf *ids, struct buf *partitions, struct buf *offsets,
			struct err *err)
{
	return pg_query(
		sender->pg,
		"UPDATE etl.dead_letters l SET letter_topic = $1, letter_partition = b.partition,"
		" letter_offset = b.place FROM unnest($2::bigint[], $3::integer[], $4::bigint[]) AS b (id, partition, place)"
		" WHERE l.id = b.id",
		PG_PARAMS(sender->topic, buf_text(ids), buf_text(partitions), buf_text(offsets)), NULL, err);
}

/* How many were delivered, or -1. What was not stays as it is; err says why. */
static int book_receipts(struct sender *sender, const struct pg_result *letters, struct err *err)
{
	CLEANUP(buf_release) struct buf ids = BUF_INIT(ARRAY_TEXT_MAX);
	CLEANUP(buf_release) struct buf partitions = BUF_INIT(ARRAY_TEXT_MAX);
	CLEANUP(buf_release) struct buf offsets = BUF_INIT(ARRAY_TEXT_MAX);
	struct err failed = ERR_INIT;
	int delivered = 0;

	for (int row = 0; row < pg_rows(letters); row++) {
		const struct kafka_receipt *receipt = &sender->receipts[row];
		const char *separator = delivered ? "," : "{";

		if (!receipt->done || receipt->error) {
			err_set(&failed, ERR_RETRY, "kafka: producing to %s: %s", sender->topic,
				kafka_receipt_text(receipt));
			continue;
		}
		buf_printf(&ids, "%s%" PRId64, separator, pg_int(letters, row, 0));
		buf_printf(&partitions, "%s%d", separator, receipt->partition);
		buf_printf(&offsets, "%s%" PRId64, separator, receipt->offset);
		delivered++;
	}
	buf_put_u8(&ids, '}');
	buf_put_u8(&partitions, '}');
	buf_put_u8(&offsets, '}');
	if (delivered > 0 && write_places(sender, &ids, &partitions, &offsets, err))
		return -1;
	*err = failed;
	return delivered;
}

/* --- passes ---------------------------------------------------------------------------------------------------------- */

static int count_waiting(struct sender *sender, int64_t *ret, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(sender->pg, "SELECT count(*) FROM etl.dead_letters WHERE letter_topic IS NULL", PG_NO_PARAMS, &r,
		     err))
		return -1;
	*ret = pg_int(r, 0, 0);
	metric_set(sender->metrics.waiting, *ret);
	return 0;
}

static void drop_clients(struct sender *sender)
{
	kafka_courier_freep(&sender->courier);
	pg_freep(&sender->pg);
}

/*
 * The first letters behind *after, in one transaction; *ret_more: there were
 * some. What cannot be delivered does not keep the others: *why says so.
 */
static int publish_some(struct sender *sender, int64_t *after, bool *ret_more, struct err *why, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *letters = NULL;
	CLEANUP(pg_result_freep) struct pg_result *headers = NULL;
	struct err undelivered = ERR_INIT;
	int delivered;

	if (pg_begin(sender->pg, err) || take_letters(sender, *after, &letters, &headers, err))
		return -1;
	*ret_more = pg_rows(letters) > 0;
	if (!*ret_more)
		return pg_commit(sender->pg, err);
	if (!sender->courier && kafka_courier_new(&sender->courier, sender->cfg, sender->topic, err))
		return -1;
	if (send_letters(sender, letters, headers, err))
		return -1;
	await_receipts(sender);
	fault_point("letters_produced");
	delivered = book_receipts(sender, letters, &undelivered);
	if (delivered <= 0) {
		*err = undelivered;
		return -1;
	}
	if (undelivered.kind != ERR_OK) {
		*why = undelivered;
		kafka_courier_freep(&sender->courier); /* it may still have receipts of ours */
	}
	*after = pg_int(letters, pg_rows(letters) - 1, 0);
	if (pg_commit(sender->pg, err))
		return -1;
	metric_add(sender->metrics.published, delivered);
	return 0;
}

static int publish_all(struct sender *sender, struct err *err)
{
	struct err undelivered = ERR_INIT;
	int64_t waiting, after = 0;
	bool more = true;

	if ((!sender->pg && pg_open(&sender->pg, sender->cfg, sender->owner, err)) ||
	    count_waiting(sender, &waiting, err))
		return -1;
	if (waiting == 0)
		return 0;
	while (more && !wakeup_stopped(&sender->wakeup))
		if (publish_some(sender, &after, &more, &undelivered, err))
			return -1;
	if (count_waiting(sender, &waiting, err))
		return -1;
	*err = undelivered;
	return err->kind == ERR_OK ? 0 : -1;
}

static void *run(void *self)
{
	struct sender *sender = self;
	int64_t backoff_ms = BACKOFF_FIRST_MS;
	struct err err = ERR_INIT;

	while (!wakeup_stopped(&sender->wakeup)) {
		if (publish_all(sender, &err) == 0) {
			if (backoff_ms != BACKOFF_FIRST_MS)
				log_info("letters_published", NULL, "dead letters are published again");
			backoff_ms = BACKOFF_FIRST_MS;
			wakeup_wait(&sender->wakeup, IDLE_MS);
			continue;
		}
		if (err.kind != ERR_RETRY) {
			give_up(sender, &err);
			break;
		}
		if (backoff_ms == BACKOFF_FIRST_MS)
			log_warning("letters_wait", NULL, "%s; dead letters wait in the database", err.text);
		drop_clients(sender);
		backoff_ms = worker_backoff(backoff_ms, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
		err_clear(&err);
	}
	drop_clients(sender);
	return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

int sender_start(struct sender **ret, const struct worker *worker, struct sender_metrics metrics, struct err *err)
{
	CLEANUP(sender_freep) struct sender *sender = mem_zalloc(1, sizeof(*sender));

	sender->cfg = worker->cfg;
	sender->topic = topics_name(worker->topics, "etl.dlq");
	sender->owner = mem_printf("penstock.loader.%s.sender", worker_instance(worker->cfg));
	sender->metrics = metrics;
	sender->bytes = (struct buf)BUF_INIT(BYTES_MAX);
	wakeup_init(&sender->wakeup);
	if (thread_start(&sender->thread, run, sender, "publishing letters", err))
		return -1;
	sender->running = true;
	*ret = STEAL(sender);
	return 0;
}

int sender_stop(struct sender *sender, struct err *err)
{
	if (sender->running) {
		wakeup_stop(&sender->wakeup);
		pthread_join(sender->thread, NULL);
		sender->running = false;
	}
	if (sender->failed.kind == ERR_OK)
		return 0;
	*err = sender->failed;
	return -1;
}

void sender_freep(struct sender **pointer)
{
	struct sender *sender = *pointer;
	struct err ignored = ERR_INIT;

	if (!sender)
		return;
	sender_stop(sender, &ignored);
	wakeup_release(&sender->wakeup);
	buf_release(&sender->bytes);
	free(sender->owner);
	free(sender);
	*pointer = NULL;
}
