#pragma once
/* What tests of rules write: times and prices as people do, sets for bars as YAML. */
#include "common/clock.h"
#include "common/decimal.h"
#include "schemas.h"
#include "stages/validator/rules.h"

static inline int64_t ns(const char *text)
{
	int64_t t;

	assert_true(clock_parse(str_of(text), &t));
	return t;
}

static inline int64_t price(const char *text)
{
	struct err err = ERR_INIT;
	int64_t value;

	assert_int_equal(decimal_parse(str_of(text), &value, &err), 0);
	return value;
}

static inline struct ruleset *bars_set(const char *yaml)
{
	struct ruleset *set = NULL;
	struct err err = ERR_INIT;

	if (ruleset_compile(&set, "t.yaml", str_of(yaml), &ohlcv_type, &err))
		fail_msg("%s", err.text);
	return set;
}
