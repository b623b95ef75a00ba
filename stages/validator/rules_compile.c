/* Typed nodes become instructions: one for a comparison of fields and constants, several where there is arithmetic. */
#include "stages/validator/rules_internal.h"

#define LABELS_MAX (2 * EXPR_NODES_MAX)

/* Where a condition jumps: a number until its place is known. */
enum { LABEL_VIOLATED, LABEL_HOLDS, LABEL_FIRST };

/* Stands for the OP_VIOLATED of a rule until that is written. */
#define PLACE_VIOLATED 0x8000

struct compiler {
	struct ruleset *set;
	struct expr *expr;
	unsigned labels;
	uint16_t places[LABELS_MAX];
};

/* To `label` where the condition is `sense`, else on. A null makes every comparison false. */
struct jump {
	unsigned label;
	bool sense;
};

static struct insn *emit(struct compiler *c, const struct node *node, enum op op)
{
	struct insn *i;

	if (c->set->code_count == CODE_MAX) {
		expr_error(c->expr, node->pos, "the set needs more than %d instructions", CODE_MAX);
		return NULL;
	}
	i = &c->set->code[c->set->code_count++];
	*i = (struct insn){ .op = (uint8_t)op };
	return i;
}

/* An instruction that jumps where what it finds is in `accepts`, or is not where the jump's sense is false. */
static struct insn *emit_test(struct compiler *c, const struct node *node, enum op op, uint8_t accepts,
			      struct jump jump)
{
	struct insn *i = emit(c, node, op);

	if (!i)
		return NULL;
	i->jumps_on = jump.sense ? accepts : (uint8_t)~accepts & (ORDER_NOT_EQUAL | ORDER_EQUAL);
	i->jumps_on_null = !jump.sense;
	i->needs = node->needs;
	i->to = (uint16_t)jump.label;
	return i;
}

static void place(struct compiler *c, unsigned label)
{
	c->places[label] = (uint16_t)c->set->code_count;
}

/* --- values ----------------------------------------------------------------------------------------------------------- */

static bool is_wide(const struct node *n)
{
	return n->kind == NODE_FIELD && (n->field->type == FIELD_LONG || n->field->type == FIELD_DECIMAL);
}

static int load_field(struct compiler *c, const struct node *node, unsigned target)
{
	enum op op = node->kind == NODE_LENGTH ? OP_LENGTH : is_wide(node) ? OP_LOAD64 : OP_LOAD32;
	struct insn *i = emit(c, node, op);

	if (!i)
		return -1;
	i->a = (uint16_t)target;
	i->b = node->field->offset;
	return 0;
}

static int compile_value(struct compiler *c, const struct node *node, unsigned target);

static int compile_arithmetic(struct compiler *c, const struct node *node, unsigned target)
{
	enum op op = node->kind == NODE_ADD ? OP_ADD : node->kind == NODE_SUBTRACT ? OP_SUBTRACT : OP_MULTIPLY;
	struct insn *i;

	if (compile_value(c, node->left, target) || compile_value(c, node->right, target + 1))
		return -1;
	i = emit(c, node, op);
	if (!i)
		return -1;
	i->a = (uint16_t)target;
	i->b = (uint16_t)(target + 1);
	i->to = LABEL_VIOLATED;
	return 0;
}

/* Leaves the value in register `target`, and may use those behind it. */
static int compile_value(struct compiler *c, const struct node *node, unsigned target)
{
	struct insn *i;

	if (target >= REGISTERS_MAX)
		return expr_error(c->expr, node->pos, "arithmetic nested deeper than %d", REGISTERS_MAX);
	switch (node->kind) {
	case NODE_FIELD:
	case NODE_LENGTH:
		return load_field(c, node, target);
	case NODE_LITERAL:
	case NODE_NOW:
		i = emit(c, node, node->kind == NODE_NOW ? OP_NOW : OP_CONST);
		if (!i)
			return -1;
		i->a = (uint16_t)target;
		i->k = node->number;
		return 0;
	default:
		return compile_arithmetic(c, node, target);
	}
}

/* --- conditions ------------------------------------------------------------------------------------------------------- */

/* The comparison as seen from its right side. */
static uint8_t mirrored(uint8_t accepts)
{
	return (uint8_t)((accepts & ORDER_EQUAL) | (accepts & ORDER_LESS ? ORDER_GREATER : 0) |
			 (accepts & ORDER_GREATER ? ORDER_LESS : 0));
}

static int compile_fields(struct compiler *c, const struct node *node, enum op op, struct jump jump)
{
	struct insn *i = emit_test(c, node, op, node->accepts, jump);

	if (!i)
		return -1;
	i->a = node->left->field->offset;
	i->b = node->right->field->offset;
	return 0;
}

static int compile_class(struct compiler *c, const struct node *node, const struct node *field,
			 const struct node *literal, struct jump jump)
{
	struct insn *i = emit_test(c, node, OP_ASSET_CLASS, node->accepts, jump);

	if (!i)
		return -1;
	i->a = field->field->offset;
	i->k = literal->number;
	return 0;
}

static int compile_strings(struct compiler *c, const struct node *node, struct jump jump)
{
	const struct node *field = node->left->kind != NODE_LITERAL ? node->left : node->right;
	const struct node *literal = field == node->left ? node->right : node->left;
	struct insn *i;

	if (field->kind == NODE_ASSET_CLASS)
		return compile_class(c, node, field, literal, jump);
	if (literal->kind == NODE_FIELD)
		return compile_fields(c, node, OP_STRING_FIELDS, jump);
	if (c->set->string_count == STRINGS_MAX)
		return expr_error(c->expr, literal->pos, "the set has more than %d strings", STRINGS_MAX);
	i = emit_test(c, node, OP_STRING_CONST, node->accepts, jump);
	if (!i)
		return -1;
	i->a = field->field->offset;
	i->k = c->set->string_count;
	c->set->strings[c->set->string_count++] = literal->text;
	return 0;
}

/* The instruction that compares such a value with `right`, or OP_COMPARE where there is none. */
static enum op short_form(const struct node *left, const struct node *right, int64_t *ret_k)
{
	const struct node *l = right->left, *r = right->right;

	*ret_k = right->number;
	if (right->kind == NODE_NOW)
		return is_wide(left) ? OP_COMPARE_NOW : OP_COMPARE;
	if (right->kind == NODE_ADD && l->kind == NODE_NOW && r->kind == NODE_LITERAL) {
		*ret_k = r->number;
		return is_wide(left) ? OP_COMPARE_NOW : OP_COMPARE;
	}
	if (right->kind != NODE_LITERAL)
		return OP_COMPARE;
	if (left->kind == NODE_LENGTH)
		return OP_COMPARE_LENGTH;
	if (left->kind != NODE_FIELD)
		return OP_COMPARE;
	return is_wide(left) ? OP_COMPARE_WIDE : OP_COMPARE_INT;
}

static int compile_short(struct compiler *c, const struct node *node, enum op op, bool swapped, int64_t k,
			 struct jump jump)
{
	const struct node *field = swapped ? node->right : node->left;
	struct insn *i = emit_test(c, node, op, swapped ? mirrored(node->accepts) : node->accepts, jump);

	if (!i)
		return -1;
	i->a = field->field->offset;
	i->b = op == OP_COMPARE_NOW ? LABEL_VIOLATED : offsetof(struct insn, k);
	i->constant = true;
	i->k = k;
	return 0;
}

/* Nulls are looked for first: the bytes of a null field are anything, and must not overflow. */
static int compile_registers(struct compiler *c, const struct node *node, struct jump jump)
{
	unsigned behind = c->labels++;
	struct jump if_null = { jump.sense ? behind : jump.label, false };
	struct insn *i;

	if (node->needs && !emit_test(c, node, OP_IS_PRESENT, ORDER_EQUAL, if_null))
		return -1;
	if (compile_value(c, node->left, 0) || compile_value(c, node->right, 1))
		return -1;
	i = emit_test(c, node, OP_COMPARE, node->accepts, jump);
	if (!i)
		return -1;
	i->a = 0;
	i->b = 1;
	place(c, behind);
	return 0;
}

static int compile_comparison(struct compiler *c, const struct node *node, struct jump jump)
{
	const struct node *left = node->left, *right = node->right;
	enum op op;
	int64_t k;

	if (left->type == TYPE_STRING)
		return compile_strings(c, node, jump);
	if (is_wide(left) && is_wide(right))
		return compile_fields(c, node, OP_COMPARE_WIDE, jump);
	op = short_form(left, right, &k);
	if (op != OP_COMPARE)
		return compile_short(c, node, op, false, k, jump);
	op = short_form(right, left, &k);
	if (op != OP_COMPARE)
		return compile_short(c, node, op, true, k, jump);
	return compile_registers(c, node, jump);
}

static int compile_condition(struct compiler *c, const struct node *node, struct jump jump);

static int compile_field_test(struct compiler *c, const struct node *node, struct jump jump)
{
	const struct node *field = node->kind == NODE_FIELD ? node : node->left;
	struct insn *i = node->kind == NODE_FIELD ? emit_test(c, node, OP_IS_TRUE, ORDER_EQUAL, jump)
						  : emit_test(c, node, OP_IS_TEXT, node->accepts, jump);

	if (!i)
		return -1;
	i->a = field->field->offset;
	return 0;
}

static bool is_bound(const struct node *n, uint8_t accepts)
{
	return n->kind == NODE_COMPARE && n->accepts == accepts && is_wide(n->left) && n->right->kind == NODE_LITERAL;
}

/* True for `a < 1 or a > 5`, the bounds of most rules: one look for two. */
static bool is_outside(const struct compiler *c, const struct node *below, const struct node *above)
{
	return is_bound(below, ORDER_LESS) && is_bound(above, ORDER_GREATER) &&
	       below->left->field == above->left->field && below->right->number <= above->right->number &&
	       c->set->span_count < SPANS_MAX;
}

static int compile_outside(struct compiler *c, const struct node *below, const struct node *above, struct jump jump)
{
	struct insn *i = emit_test(c, below, OP_OUTSIDE, ORDER_EQUAL, jump);

	if (!i)
		return -1;
	i->a = below->left->field->offset;
	i->b = (uint16_t)c->set->span_count;
	i->run = 1;
	i->k = below->right->number;
	c->set->spans[c->set->span_count++] = (uint64_t)above->right->number - (uint64_t)below->right->number;
	return 0;
}

/* `or` that jumps where a side is true. Chains lean to the left, so the neighbour of the right side is at its end. */
static int compile_chain(struct compiler *c, const struct node *node, struct jump jump)
{
	const struct node *left = node->left, *before = left->kind == NODE_OR ? left->right : left;

	if (!is_outside(c, before, node->right))
		return compile_condition(c, left, jump) || compile_condition(c, node->right, jump) ? -1 : 0;
	if (before != left && compile_condition(c, left->left, jump))
		return -1;
	return compile_outside(c, before, node->right, jump);
}

/* True for `a is null or b is null or …`: one look at the presence bits. Their nodes need these bits. */
static bool is_any_null(const struct node *node)
{
	if (node->kind == NODE_OR)
		return is_any_null(node->left) && is_any_null(node->right);
	return node->kind == NODE_IS_NULL;
}

/* `or` is decided by a side that is true, `and` by one that is false. */
static int compile_condition(struct compiler *c, const struct node *node, struct jump jump)
{
	bool decides = node->kind == NODE_OR;
	unsigned behind;

	if (is_any_null(node))
		return emit_test(c, node, OP_IS_PRESENT, ORDER_EQUAL, (struct jump){ jump.label, !jump.sense }) ? 0
														: -1;
	if (node->kind == NODE_NOT)
		return compile_condition(c, node->left, (struct jump){ jump.label, !jump.sense });
	if (node->kind == NODE_COMPARE)
		return compile_comparison(c, node, jump);
	if (node->kind != NODE_AND && node->kind != NODE_OR)
		return compile_field_test(c, node, jump);
	if (node->kind == NODE_OR && jump.sense)
		return compile_chain(c, node, jump);
	if (jump.sense == decides)
		return compile_condition(c, node->left, jump) || compile_condition(c, node->right, jump) ? -1 : 0;
	behind = c->labels++;
	if (compile_condition(c, node->left, (struct jump){ behind, decides }) ||
	    compile_condition(c, node->right, jump))
		return -1;
	place(c, behind);
	return 0;
}

/* --- rules ------------------------------------------------------------------------------------------------------------ */

int rule_compile(struct ruleset *set, struct expr *expr, const struct node *when, const struct node *violated)
{
	struct compiler c = { .set = set, .expr = expr, .labels = LABEL_FIRST };
	unsigned start = set->code_count;

	if ((when && compile_condition(&c, when, (struct jump){ LABEL_HOLDS, false })) ||
	    compile_condition(&c, violated, (struct jump){ LABEL_VIOLATED, true }))
		return -1;
	c.places[LABEL_VIOLATED] = (uint16_t)(PLACE_VIOLATED | set->count);
	place(&c, LABEL_HOLDS);
	for (unsigned i = start; i < set->code_count; i++) {
		set->code[i].to = c.places[set->code[i].to];
		if (set->code[i].op == OP_COMPARE_NOW)
			set->code[i].b = c.places[set->code[i].b];
	}
	set->rules[set->count].end = (uint16_t)set->code_count;
	set->needs |= violated->needs | (when ? when->needs : 0);
	return 0;
}

/* --- runs ------------------------------------------------------------------------------------------------------------- */

/* A test that jumps where a wide field is not within bounds; one bound is a pair with the last number there is. */
static bool is_bounded(const struct ruleset *set, const struct insn *i, int64_t *ret_low, int64_t *ret_high)
{
	*ret_low = i->k;
	*ret_high = INT64_MAX;
	if (i->op == OP_OUTSIDE && i->jumps_on == ORDER_EQUAL) {
		*ret_high = (int64_t)((uint64_t)i->k + set->spans[i->b]);
		return true;
	}
	if (i->op != OP_COMPARE_WIDE || !i->constant)
		return false;
	if (i->jumps_on == ORDER_GREATER) {
		*ret_low = INT64_MIN;
		*ret_high = i->k;
		return true;
	}
	return i->jumps_on == ORDER_LESS ||
	       (i->jumps_on == (ORDER_LESS | ORDER_EQUAL) && !__builtin_add_overflow(i->k, 1, ret_low));
}

static bool same_of_next_field(const struct ruleset *set, const struct insn *i, const struct insn *next)
{
	int64_t low, high, next_low, next_high;

	return i->a + sizeof(int64_t) == next->a && i->to == next->to && is_bounded(set, i, &low, &high) &&
	       is_bounded(set, next, &next_low, &next_high) && low == next_low && high == next_high;
}

static void make_outside(struct ruleset *set, struct insn *i)
{
	int64_t low, high;

	if (i->op == OP_OUTSIDE || !is_bounded(set, i, &low, &high))
		return;
	i->op = OP_OUTSIDE;
	i->jumps_on = ORDER_EQUAL;
	i->b = (uint16_t)set->span_count;
	i->run = 1;
	i->k = low;
	set->spans[set->span_count++] = (uint64_t)high - (uint64_t)low;
}

/* `open <= 0 or high <= 0 or …` of fields side by side is one instruction where no field is null. */
static void join_runs(struct ruleset *set, struct insn *end)
{
	for (struct insn *i = end - 1; i-- > set->code;) {
		struct insn *next = i + 1;

		if (set->span_count + 2 > SPANS_MAX || !same_of_next_field(set, i, next))
			continue;
		make_outside(set, next);
		make_outside(set, i);
		i->run = (uint8_t)(next->run < UINT8_MAX ? next->run + 1 : 1);
	}
}

static void resolve_violated(uint16_t *target, unsigned first)
{
	if (*target & PLACE_VIOLATED)
		*target = (uint16_t)(first + (*target & ~PLACE_VIOLATED));
}

void ruleset_end(struct ruleset *set)
{
	struct insn *end = &set->code[set->code_count++];
	unsigned first = set->code_count;

	*end = (struct insn){ .op = OP_END };
	for (struct insn *i = set->code; i < end; i++) {
		resolve_violated(&i->to, first);
		if (i->op == OP_COMPARE_NOW)
			resolve_violated(&i->b, first);
	}
	join_runs(set, end);
	for (unsigned i = 0; i < set->count; i++)
		set->code[set->code_count++] = (struct insn){ .op = OP_VIOLATED, .to = set->rules[i].end, .k = i };
}
