/* Typed nodes become instructions: one for a comparison of fields and constants, several where there is arithmetic. */
#include "stages/validator/rules_internal.h"

#define LABELS_MAX (2 * EXPR_NODES_MAX)

/* Where a condition goes on: a number until its place is known. */
enum { LABEL_VIOLATED, LABEL_HOLDS, LABEL_FIRST };

struct compiler {
	struct ruleset *set;
	struct expr *expr;
	unsigned start; /* of this rule's code */
	unsigned labels;
	uint16_t places[LABELS_MAX];
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

static int branch(struct insn *i, const struct node *node, unsigned yes, unsigned no)
{
	if (!i)
		return -1;
	i->accepts = node->accepts;
	i->needs = node->needs;
	i->yes = (uint16_t)yes;
	i->no = (uint16_t)no;
	return 0;
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

static int compile_fields(struct compiler *c, const struct node *node, enum op op, unsigned yes, unsigned no)
{
	struct insn *i = emit(c, node, op);

	if (branch(i, node, yes, no))
		return -1;
	i->a = node->left->field->offset;
	i->b = node->right->field->offset;
	return 0;
}

static int compile_strings(struct compiler *c, const struct node *node, unsigned yes, unsigned no)
{
	const struct node *field = node->left->kind == NODE_FIELD ? node->left : node->right;
	const struct node *literal = field == node->left ? node->right : node->left;
	struct insn *i;

	if (literal->kind == NODE_FIELD)
		return compile_fields(c, node, OP_STRING_FIELDS, yes, no);
	if (c->set->string_count == STRINGS_MAX)
		return expr_error(c->expr, literal->pos, "the set has more than %d strings", STRINGS_MAX);
	i = emit(c, node, OP_STRING_CONST);
	if (branch(i, node, yes, no))
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
	return is_wide(left) ? OP_COMPARE_CONST : OP_COMPARE_INT;
}

static int compile_short(struct compiler *c, const struct node *node, enum op op, bool swapped, int64_t k, unsigned yes,
			 unsigned no)
{
	struct insn *i = emit(c, node, op);

	if (branch(i, node, yes, no))
		return -1;
	if (swapped)
		i->accepts = mirrored(node->accepts);
	i->a = (swapped ? node->right : node->left)->field->offset;
	i->k = k;
	return 0;
}

/* Nulls are looked for first: the bytes of a null field are anything, and must not overflow. */
static int compile_registers(struct compiler *c, const struct node *node, unsigned yes, unsigned no)
{
	struct insn *i;

	if (node->needs) {
		i = emit(c, node, OP_IS_PRESENT);
		if (branch(i, node, c->labels, no))
			return -1;
		c->places[c->labels++] = (uint16_t)c->set->code_count;
	}
	if (compile_value(c, node->left, 0) || compile_value(c, node->right, 1))
		return -1;
	i = emit(c, node, OP_COMPARE);
	if (branch(i, node, yes, no))
		return -1;
	i->a = 0;
	i->b = 1;
	return 0;
}

static int compile_comparison(struct compiler *c, const struct node *node, unsigned yes, unsigned no)
{
	const struct node *left = node->left, *right = node->right;
	enum op op;
	int64_t k;

	if (left->type == TYPE_STRING)
		return compile_strings(c, node, yes, no);
	if (is_wide(left) && is_wide(right))
		return compile_fields(c, node, OP_COMPARE_FIELDS, yes, no);
	op = short_form(left, right, &k);
	if (op != OP_COMPARE)
		return compile_short(c, node, op, false, k, yes, no);
	op = short_form(right, left, &k);
	if (op != OP_COMPARE)
		return compile_short(c, node, op, true, k, yes, no);
	return compile_registers(c, node, yes, no);
}

static int compile_field_test(struct compiler *c, const struct node *node, enum op op, unsigned yes, unsigned no)
{
	const struct node *field = node->kind == NODE_FIELD ? node : node->left;
	struct insn *i = emit(c, node, op);

	if (branch(i, node, yes, no))
		return -1;
	i->a = field->field->offset;
	return 0;
}

static int compile_condition(struct compiler *c, const struct node *node, unsigned yes, unsigned no)
{
	unsigned middle = c->labels;

	switch (node->kind) {
	case NODE_COMPARE:
		return compile_comparison(c, node, yes, no);
	case NODE_IS_TEXT:
		return compile_field_test(c, node, OP_IS_TEXT, yes, no);
	case NODE_IS_NULL:
		return compile_field_test(c, node, OP_IS_PRESENT, no, yes);
	case NODE_NOT:
		return compile_condition(c, node->left, no, yes);
	case NODE_FIELD:
		return compile_field_test(c, node, OP_IS_TRUE, yes, no);
	default:
		break;
	}
	c->labels++;
	if (compile_condition(c, node->left, node->kind == NODE_AND ? middle : yes,
			      node->kind == NODE_AND ? no : middle))
		return -1;
	c->places[middle] = (uint16_t)c->set->code_count;
	return compile_condition(c, node->right, yes, no);
}

/* Numbers of labels become places in the code. */
static void resolve(struct compiler *c)
{
	for (unsigned i = c->start; i < c->set->code_count; i++) {
		struct insn *insn = &c->set->code[i];

		if (insn->op <= OP_IS_PRESENT) {
			insn->yes = c->places[insn->yes];
			insn->no = c->places[insn->no];
		}
	}
}

int rule_compile(struct ruleset *set, struct rule *rule, struct expr *expr, const struct node *when,
		 const struct node *violated)
{
	struct compiler c = { .set = set, .expr = expr, .start = set->code_count, .labels = LABEL_FIRST };

	c.places[LABEL_VIOLATED] = PC_VIOLATED;
	c.places[LABEL_HOLDS] = PC_HOLDS;
	rule->start = (uint16_t)set->code_count;
	set->needs |= violated->needs | (when ? when->needs : 0);
	if (when) {
		unsigned body = c.labels++;

		if (compile_condition(&c, when, body, LABEL_HOLDS))
			return -1;
		c.places[body] = (uint16_t)set->code_count;
	}
	if (compile_condition(&c, violated, LABEL_VIOLATED, LABEL_HOLDS))
		return -1;
	resolve(&c);
	return 0;
}
