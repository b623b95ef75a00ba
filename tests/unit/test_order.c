#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "stages/loader/order.h"

static void add_all(struct order *order, const char *const *symbols, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		order_add(order, str_of(symbols[i]));
}

static void test_symbols_together(void **state)
{
	static const char *const symbols[] = { "MSFT", "AAPL", "", "MSFT", "AA", "AAPL", "\xffZ", "", "MSFT" };
	static const int32_t wanted[] = { 2, 7, 4, 1, 5, 0, 3, 8, 6 };
	struct order *order = order_new();

	(void)state;
	for (unsigned round = 0; round < 2; round++) { /* a reset forgets all of it */
		add_all(order, symbols, 9);
		assert_memory_equal(order_rows(order), wanted, sizeof(wanted));
		assert_memory_equal(order_rows(order), wanted, sizeof(wanted));
		order_reset(order);
	}
	order_freep(&order);
	assert_null(order);
}

/* More symbols than the table of slots was made for. */
static void test_every_row_once(void **state)
{
	enum { ROWS = 20000, SYMBOLS = 7001 };
	static unsigned char seen[ROWS];
	struct order *order = order_new();
	const int32_t *rows;
	char symbol[16];

	(void)state;
	for (int i = 0; i < ROWS; i++) {
		snprintf(symbol, sizeof(symbol), "%05d", i % SYMBOLS);
		order_add(order, str_of(symbol));
	}
	rows = order_rows(order);
	for (int i = 0; i < ROWS; i++) {
		assert_in_range(rows[i], 0, ROWS - 1);
		assert_int_equal(seen[rows[i]]++, 0);
		if (i > 0 && rows[i] % SYMBOLS == rows[i - 1] % SYMBOLS)
			assert_true(rows[i] > rows[i - 1]);
		else if (i > 0)
			assert_true(rows[i] % SYMBOLS > rows[i - 1] % SYMBOLS);
	}
	order_freep(&order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_symbols_together),
		cmocka_unit_test(test_every_row_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
