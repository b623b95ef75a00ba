/* The machine that runs rules: no allocation, no calls but for text. */
#include "stages/validator/rules_internal.h"

static inline int64_t load64(const char *at)
{
	int64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline int32_t load32(const char *at)
{
	int32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline struct str load_str(const char *at)
{
	struct str s;

	memcpy(&s, at, sizeof(s));
	return s;
}

static inline uint8_t order_of(int64_t a, int64_t b)
{
	return a < b ? ORDER_LESS : a == b ? ORDER_EQUAL : ORDER_GREATER;
}

static inline uint8_t equality_of(struct str a, struct str b)
{
	return str_eq(a, b) ? ORDER_EQUAL : ORDER_LESS;
}

/* An instruction that makes a value; false: it overflowed. */
static inline bool calculate(const struct insn *i, int64_t *registers, const char *record, int64_t now_ns)
{
	int64_t *target = &registers[i->a];

	switch ((enum op)i->op) {
	case OP_LOAD64:
		*target = load64(record + i->b);
		return true;
	case OP_LOAD32:
		*target = load32(record + i->b);
		return true;
	case OP_LENGTH:
		*target = load_str(record + i->b).len;
		return true;
	case OP_CONST:
		*target = i->k;
		return true;
	case OP_NOW:
		*target = now_ns;
		return true;
	case OP_ADD:
		return !__builtin_add_overflow(*target, registers[i->b], target);
	case OP_SUBTRACT:
		return !__builtin_sub_overflow(*target, registers[i->b], target);
	default:
		return !__builtin_mul_overflow(*target, registers[i->b], target);
	}
}

/*
 * `complete`: no field is null, which is so of nearly every record, and saves a test with every instruction. The
 * compiler makes one function of each.
 */
static inline __attribute__((always_inline)) bool is_violated(const struct ruleset *set, unsigned pc,
							      const char *record, int64_t now_ns, bool complete)
{
	const uint64_t present = (uint64_t)load64(record);
	int64_t registers[REGISTERS_MAX], right;
	uint8_t holds;

	while (pc < PC_HOLDS) {
		const struct insn *i = &set->code[pc];
		const char *at = record + i->a;

		if (!complete && i->op <= OP_IS_PRESENT && (present & i->needs) != i->needs) {
			pc = i->no;
			continue;
		}
		switch ((enum op)i->op) {
		case OP_COMPARE_FIELDS:
			holds = i->accepts & order_of(load64(at), load64(record + i->b));
			break;
		case OP_COMPARE_CONST:
			holds = i->accepts & order_of(load64(at), i->k);
			break;
		case OP_COMPARE_INT:
			holds = i->accepts & order_of(load32(at), i->k);
			break;
		case OP_COMPARE_LENGTH:
			holds = i->accepts & order_of(load_str(at).len, i->k);
			break;
		case OP_COMPARE_NOW:
			if (__builtin_add_overflow(now_ns, i->k, &right))
				return true;
			holds = i->accepts & order_of(load64(at), right);
			break;
		case OP_COMPARE:
			holds = i->accepts & order_of(registers[i->a], registers[i->b]);
			break;
		case OP_STRING_FIELDS:
			holds = i->accepts & equality_of(load_str(at), load_str(record + i->b));
			break;
		case OP_STRING_CONST:
			holds = i->accepts & equality_of(load_str(at), set->strings[i->k]);
			break;
		case OP_IS_TEXT:
			holds = i->accepts & (str_is_text(load_str(at)) ? ORDER_EQUAL : ORDER_LESS);
			break;
		case OP_IS_TRUE:
			holds = *at != 0;
			break;
		case OP_IS_PRESENT:
			holds = true;
			break;
		default:
			if (!calculate(i, registers, record, now_ns))
				return true;
			pc++;
			continue;
		}
		if (holds)
			pc = i->yes;
		else
			pc = i->no;
	}
	return pc == PC_VIOLATED;
}

struct verdict ruleset_check(const struct ruleset *set, const void *record, int64_t now_ns)
{
	bool complete = ((uint64_t)load64(record) & set->needs) == set->needs;
	uint64_t violated = 0;

	if (complete)
		for (unsigned i = 0; i < set->count; i++)
			violated |= (uint64_t)is_violated(set, set->rules[i].start, record, now_ns, true) << i;
	else
		for (unsigned i = 0; i < set->count; i++)
			violated |= (uint64_t)is_violated(set, set->rules[i].start, record, now_ns, false) << i;
	return (struct verdict){ violated & set->rejecting, violated & ~set->rejecting };
}
