/* What several threads touch at once; `make units SANITIZE=thread` looks for races in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "common/clock.h"
#include "common/errand.h"
#include "common/metrics.h"
#include "common/wakeup.h"
#include "common/worker.h"

#define WORKERS 4
#define ROUNDS 20000

struct queue {
	struct wakeup wakeup;
	_Atomic int64_t made;
	int64_t seen;
};

static void *produce(void *self)
{
	struct queue *queue = self;

	for (int i = 0; i < ROUNDS; i++) {
		queue->made++;
		wakeup_wake(&queue->wakeup);
	}
	return NULL;
}

static void *consume(void *self)
{
	struct queue *queue = self;

	do
		queue->seen = queue->made;
	while (wakeup_wait(&queue->wakeup, 60000));
	return NULL;
}

/* No wake-up is lost: with a wait this long, the test would hang. */
static void a_wakeup_is_never_lost(void **state)
{
	struct queue queue = { .made = 0 };
	pthread_t producers[WORKERS], consumer;

	(void)state;
	wakeup_init(&queue.wakeup);
	pthread_create(&consumer, NULL, consume, &queue);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&producers[i], NULL, produce, &queue);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(producers[i], NULL);
	wakeup_stop(&queue.wakeup);
	pthread_join(consumer, NULL);
	assert_true(wakeup_stopped(&queue.wakeup));
	assert_true(queue.seen <= queue.made);
	assert_int_equal(queue.made, WORKERS * ROUNDS);
	wakeup_release(&queue.wakeup);
}

static void waiting_ends_by_time_too(void **state)
{
	struct wakeup wakeup;
	int64_t begin = clock_monotonic_ns();

	(void)state;
	wakeup_init(&wakeup);
	assert_true(wakeup_wait(&wakeup, 20));
	assert_true(clock_monotonic_ns() - begin >= 20 * 1000000);
	wakeup_wake(&wakeup);
	wakeup_wake(&wakeup);
	assert_true(wakeup_wait(&wakeup, 60000));
	assert_true(wakeup_wait(&wakeup, 0)); /* two were one */
	wakeup_stop(&wakeup);
	assert_false(wakeup_wait(&wakeup, 60000));
	wakeup_release(&wakeup);
}

static void run_errand(void *self)
{
	int64_t *count = self;

	++*count; /* no atomic: it is one thread's at a time */
}

static void an_errand_is_done_by_the_time_it_was_waited_for(void **state)
{
	struct errand *errand = NULL;
	struct err err = ERR_INIT;
	int64_t count = 0;

	(void)state;
	assert_int_equal(errand_open(&errand, run_errand, &count, "a test", &err), 0);
	errand_wait(errand); /* for nothing */
	for (int64_t i = 1; i <= ROUNDS / 10; i++) {
		errand_start(errand);
		if (i % 3 == 1)
			while (errand_busy(errand))
				sched_yield();
		else if (i % 3 == 2)
			while (errand_busy_after(errand, 1))
				;
		errand_wait(errand);
		assert_int_equal(count, i);
	}
	assert_false(errand_busy_after(errand, 0));
	errand_start(errand);
	errand_freep(&errand); /* waits, too */
	assert_int_equal(count, ROUNDS / 10 + 1);
	assert_null(errand);
}

static void *change_state(void *unused)
{
	for (int i = 0; i < ROUNDS / 10; i++) {
		worker_set_ready(i % 2, i % 2 ? "" : "waiting for partitions");
		worker_set_missing(WORKER_BROKER, i % 3 ? NULL : "no broker answers");
		metric_add(&worker_metrics[WORKER_RECORDS], 1);
	}
	return unused;
}

/* The HTTP threads read what the worker's own thread says. */
static void health_is_served_while_it_changes(void **state)
{
	const struct http_request request = { .method = "GET", .path = "/readyz" };
	pthread_t changer;

	(void)state;
	pthread_create(&changer, NULL, change_state, NULL);
	for (int i = 0; i < ROUNDS / 100; i++) {
		struct http_response response = { .body = BUF_INIT(65536) };

		assert_true(worker_serve(&request, &response));
		assert_true(response.status == 200 || response.status == 503);
		assert_true(response.status == 503 || strcmp(buf_text(&response.body), "ready\n") == 0);
		buf_release(&response.body);
	}
	pthread_join(changer, NULL);
	assert_int_equal(worker_metrics[WORKER_RECORDS].value, ROUNDS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wakeup_is_never_lost),
		cmocka_unit_test(waiting_ends_by_time_too),
		cmocka_unit_test(an_errand_is_done_by_the_time_it_was_waited_for),
		cmocka_unit_test(health_is_served_while_it_changes),
	};

	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
