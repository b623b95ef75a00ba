#include "ops/cli/moment.h"

#include <ctype.h>
#include <stddef.h>

#include "common/clock.h"

/* "7d": how long that is; 0: it is no such text. */
static int64_t duration_of(const char *text)
{
	static const struct {
		char unit;
		int64_t ns;
	} units[] = {
		{ 's', NS_PER_SECOND }, { 'm', 60 * NS_PER_SECOND }, { 'h', 3600 * NS_PER_SECOND },
		{ 'd', NS_PER_DAY },    { 'w', 7 * NS_PER_DAY },
	};
	int64_t number = 0, ns;

	if (!isdigit((unsigned char)*text))
		return 0;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *text - '0', &number))
			return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (text[0] == units[i].unit && !text[1])
			return __builtin_mul_overflow(number, units[i].ns, &ns) ? INT64_MAX : ns;
	return 0;
}

bool moment_read(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t ago = duration_of(text);

	if (ago <= 0)
		return clock_parse(str_of(text), ret_ns);
	*ret_ns = ago < now_ns ? now_ns - ago : 0;
	return true;
}
