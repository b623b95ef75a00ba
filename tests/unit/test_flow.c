#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/json_in.h"
#include "stages/fetcher/flow.h"

static bool take(struct flow *flow, const char *text)
{
	CLEANUP(json_freep) json_t *message = json_loads(text, 0, NULL);

	assert_non_null(message);
	return flow_take(flow, message);
}

static int64_t since(const struct flow *flow, int64_t run, int64_t attempt, int64_t fetched)
{
	const struct cursor cursor = { .run = run, .attempt = attempt, .fetched = fetched };

	return flow_since(flow, &cursor);
}

static void test_what_is_on_the_way(void **state)
{
	CLEANUP(flow_release) struct flow flow = { 0 };

	(void)state;
	assert_false(flow_holds(&flow, 0));
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":1000,\"runs\":[3,7],"
				"\"attempts\":[[90,500,100],[80,50,50]]}"));
	assert_true(flow_holds(&flow, 3) && flow_holds(&flow, 7));
	assert_false(flow_holds(&flow, 4));
	assert_int_equal(flow_room(&flow), 600);
	assert_int_equal(since(&flow, 3, 90, 520), 20);
	assert_int_equal(since(&flow, 7, 80, 50), 0);
	assert_int_equal(since(&flow, 7, 85, 30), 30); /* nobody had heard of it */
	assert_int_equal(since(&flow, 4, 90, 520), 0);
}

static void test_the_last_one_counts(void **state)
{
	CLEANUP(flow_release) struct flow flow = { 0 };

	(void)state;
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[[90,500,100]]}"));
	assert_int_equal(flow_room(&flow), -390);
	assert_false(take(&flow, "{\"action\":\"park\",\"most\":10,\"runs\":[],\"attempts\":[]}"));
	assert_true(flow_holds(&flow, 3));
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":10,\"runs\":[],\"attempts\":[]}"));
	assert_false(flow_holds(&flow, 3));
}

static void end(struct flow *flow, int64_t run, int64_t attempt, int64_t fetched)
{
	const struct cursor cursor = { .run = run, .attempt = attempt, .fetched = fetched };

	flow_end(flow, &cursor);
}

/* What ended a moment ago is on the way, too, until that is known. */
static void test_what_ended_here(void **state)
{
	CLEANUP(flow_release) struct flow flow = { 0 };

	(void)state;
	end(&flow, 3, 90, 500); /* no backfill that anybody spoke of */
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":1000,\"runs\":[3],\"attempts\":[[90,500,100]]}"));
	assert_int_equal(flow_room(&flow), 600);
	end(&flow, 3, 90, 800);
	end(&flow, 3, 91, 50);
	end(&flow, 4, 92, 50);
	assert_int_equal(flow_room(&flow), 250);
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":1000,\"runs\":[3],\"attempts\":[[90,600,600]]}"));
	assert_int_equal(flow_room(&flow), 750);
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":1000,\"runs\":[3],"
				"\"attempts\":[[90,800,700],[91,50,50]]}"));
	assert_int_equal(flow_room(&flow), 900);
	end(&flow, 3, 93, 40);
	assert_true(take(&flow, "{\"action\":\"flow\",\"most\":1000,\"runs\":[5],\"attempts\":[]}"));
	assert_int_equal(flow_room(&flow), 1000);
}

/* Not a word of a message is believed that contradicts itself: a backfill that stands for ever would be worse. */
static void test_nonsense_holds_nothing(void **state)
{
	static const char *const texts[] = {
		"{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[[90,100,500]]}",
		"{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[[90,100,-5]]}",
		"{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[[90,100]]}",
		"{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[90]}",
		("{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":["
		 "[1,9223372036854775807,0],[2,9223372036854775807,0]]}"),
		"{\"action\":\"flow\",\"most\":10,\"runs\":3,\"attempts\":{}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		CLEANUP(flow_release) struct flow flow = { 0 };

		assert_true(take(&flow, "{\"action\":\"flow\",\"most\":10,\"runs\":[3],\"attempts\":[]}"));
		assert_true(take(&flow, texts[i]));
		assert_false(flow_holds(&flow, 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_on_the_way),
		cmocka_unit_test(test_the_last_one_counts),
		cmocka_unit_test(test_what_ended_here),
		cmocka_unit_test(test_nonsense_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
