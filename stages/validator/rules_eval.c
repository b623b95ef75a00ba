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

/* The bits of enum order are LESS, EQUAL, GREATER from the lowest. */
static inline bool jumps(const struct insn *i, int64_t left, int64_t right)
{
	return i->jumps_on >> (1 + (left > right) - (left < right)) & 1;
}

static inline bool jumps_if(const struct insn *i, bool so)
{
	return i->jumps_on & (so ? ORDER_EQUAL : ORDER_LESS);
}

/* Nearly every symbol is ASCII, and eight of its bytes are one look: a NUL borrows into the top bit. */
static inline bool is_ascii(uint64_t w)
{
	return (((w - UINT64_C(0x0101010101010101)) | w) & UINT64_C(0x8080808080808080)) == 0;
}

/* The bytes of a text shorter than that, some of them twice; what is missing is no NUL. */
static inline uint64_t short_word(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.data;

	if (s.len >= 4)
		return (uint32_t)load32(s.data) | (uint64_t)(uint32_t)load32(s.data + s.len - 4) << 32;
	if (s.len == 0)
		return UINT64_C(0x0101010101010101);
	return UINT64_C(0x0101010101000000) | p[0] | (uint32_t)p[s.len / 2] << 8 | (uint32_t)p[s.len - 1] << 16;
}

static bool is_text(struct str s)
{
	for (; s.len >= 8 && is_ascii((uint64_t)load64(s.data)); s.len -= 8)
		s.data += 8;
	return (s.len < 8 && is_ascii(short_word(s))) || str_is_text(s);
}

#define CLASS_NOT_ASKED (-2)
#define CLASS_NONE (-1)

static int find_class(const struct ruleset *set, struct str name)
{
	const struct dataset *dataset = datasets_find(set->datasets, name);

	return dataset ? dataset->asset_class : CLASS_NONE;
}

/* Of `count` numbers side by side, whether one is outside of the bounds. */
static inline bool is_outside(const char *at, unsigned count, int64_t low, uint64_t span)
{
	bool outside = false;

	for (; count > 0; count--, at += sizeof(int64_t))
		outside |= (uint64_t)load64(at) - (uint64_t)low > span;
	return outside;
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
 * compiler makes one function of each. That jumps are unlikely keeps it from computing the next instruction's place:
 * going on, that is known before the fields are loaded.
 */
static inline __attribute__((always_inline)) uint64_t run(const struct ruleset *set, const char *record, int64_t now_ns,
							  bool complete)
{
	const uint64_t present = (uint64_t)load64(record);
	int64_t registers[REGISTERS_MAX], right;
	int asset_class = CLASS_NOT_ASKED;
	uint64_t violated = 0;
	bool jump;

	for (const struct insn *i = set->code;; i = __builtin_expect(jump, 0) ? &set->code[i->to] : i + 1) {
		const char *at = record + i->a;

		if (i->op <= OP_IS_PRESENT && !complete && (present & i->needs) != i->needs) {
			jump = i->jumps_on_null;
			continue;
		}
		if (i->op == OP_COMPARE_WIDE) { /* most of all: faster than a switch's jump */
			jump = jumps(i, load64(at), load64((i->constant ? (const char *)i : record) + i->b));
			continue;
		}
		switch ((enum op)i->op) {
		case OP_OUTSIDE:
			jump = jumps_if(i, is_outside(at, complete ? i->run : 1, i->k, set->spans[i->b]));
			i += complete ? i->run - 1 : 0; /* they all jump to one place */
			break;
		case OP_COMPARE_INT:
			jump = jumps(i, load32(at), i->k);
			break;
		case OP_COMPARE_LENGTH:
			jump = jumps(i, load_str(at).len, i->k);
			break;
		case OP_COMPARE_NOW:
			if (__builtin_add_overflow(now_ns, i->k, &right)) {
				i = &set->code[i->b] - 1; /* the loop goes one on */
				jump = false;
				break;
			}
			jump = jumps(i, load64(at), right);
			break;
		case OP_COMPARE:
			jump = jumps(i, registers[i->a], registers[i->b]);
			break;
		case OP_STRING_FIELDS:
			jump = jumps_if(i, str_eq(load_str(at), load_str(record + i->b)));
			break;
		case OP_STRING_CONST:
			jump = jumps_if(i, str_eq(load_str(at), set->strings[i->k]));
			break;
		case OP_ASSET_CLASS:
			if (asset_class == CLASS_NOT_ASKED) /* one dataset, however many rules ask */
				asset_class = find_class(set, load_str(at));
			jump = jumps_if(i, asset_class == i->k);
			break;
		case OP_IS_TEXT:
			jump = jumps_if(i, is_text(load_str(at)));
			break;
		case OP_IS_TRUE:
			jump = jumps_if(i, *at != 0);
			break;
		case OP_IS_PRESENT:
			jump = jumps_if(i, true);
			break;
		case OP_VIOLATED:
			violated |= UINT64_C(1) << i->k;
			jump = true;
			break;
		case OP_END:
			return violated;
		default:
			jump = !calculate(i, registers, record, now_ns);
			break;
		}
	}
}

/* Aligned, as where the linker puts the loop makes a difference of 7 ns a bar. */
__attribute__((aligned(64))) struct verdict ruleset_check(const struct ruleset *set, const void *record, int64_t now_ns)
{
	bool complete = ((uint64_t)load64(record) & set->needs) == set->needs;
	uint64_t violated = complete ? run(set, record, now_ns, true) : run(set, record, now_ns, false);

	return (struct verdict){ violated & set->rejecting, violated & ~set->rejecting };
}
