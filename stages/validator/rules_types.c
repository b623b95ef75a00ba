/* What goes together in an expression, and what literals become beside it. */
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/decimal.h"
#include "common/embed.h"
#include "stages/validator/rules_internal.h"

static const char *const type_names[] = {
	[TYPE_CONDITION] = "a condition", [TYPE_NUMBER] = "a number", [TYPE_INT] = "a whole number",
	[TYPE_DECIMAL] = "a decimal",     [TYPE_TIME] = "a time",     [TYPE_DATE] = "a date",
	[TYPE_DURATION] = "a duration",   [TYPE_STRING] = "a string",
};

struct node *expr_node(struct expr *expr, enum node_kind kind, enum value_type type, uint32_t pos)
{
	struct node *n;

	if (expr->count == EXPR_NODES_MAX) {
		expr_error(expr, pos, "an expression has at most %d parts", EXPR_NODES_MAX);
		return NULL;
	}
	n = &expr->nodes[expr->count++];
	*n = (struct node){ .kind = kind, .type = type, .pos = pos };
	return n;
}

static struct node *join(struct expr *expr, enum node_kind kind, enum value_type type, struct node *left,
			 struct node *right, uint32_t pos)
{
	struct node *n = expr_node(expr, kind, type, pos);

	if (!n)
		return NULL;
	n->left = left;
	n->right = right;
	n->needs = left->needs | (right ? right->needs : 0);
	n->varies = left->varies || (right && right->varies);
	return n;
}

/* --- fields ----------------------------------------------------------------------------------------------------------- */

static enum value_type field_value_type(const struct record_field *field)
{
	switch (field->type) {
	case FIELD_BOOL:
		return TYPE_CONDITION;
	case FIELD_DECIMAL:
		return TYPE_DECIMAL;
	case FIELD_STRING:
		return TYPE_STRING;
	default:
		break;
	}
	switch (field->logical) {
	case LOGICAL_TIMESTAMP_NANOS:
		return TYPE_TIME;
	case LOGICAL_DATE:
		return TYPE_DATE;
	default:
		return TYPE_INT;
	}
}

struct node *expr_field(struct expr *expr, struct str name, uint32_t pos)
{
	const struct record_field *field = record_field_find(expr->type, name);
	CLEANUP(buf_release) struct buf list = BUF_INIT(1024);
	struct node *n;

	if (!field) {
		for (unsigned i = 0; i < expr->type->field_count; i++)
			buf_printf(&list, "%s%s", i ? ", " : "", expr->type->fields[i].name);
		expr_error(expr, pos, "%s has no field '%.*s' (fields: %s)", expr->type->name, STR_ARG(name),
			   buf_text(&list));
		return NULL;
	}
	n = expr_node(expr, NODE_FIELD, field_value_type(field), pos);
	if (!n)
		return NULL;
	n->field = field;
	n->varies = true;
	n->needs = field->nullable ? UINT64_C(1) << field->bit : 0;
	return n;
}

struct node *expr_asset_class(struct expr *expr, uint32_t pos)
{
	struct node *n = expr_field(expr, STR_LIT("dataset"), pos);

	if (!n || n->type != TYPE_STRING)
		return NULL;
	if (!*expr->datasets && datasets_read(expr->datasets, DATASETS_FILE, embed_find(DATASETS_FILE), expr->err))
		return NULL;
	n->kind = NODE_ASSET_CLASS;
	return n;
}

/* --- literals take the type of what they stand beside ----------------------------------------------------------------- */

static bool whole_number(struct str text, bool negative, int64_t *ret)
{
	int64_t v = 0;

	for (uint32_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, text.data[i] - '0', &v))
			return false;
	}
	*ret = negative ? -v : v;
	return true;
}

static int number_to(struct expr *expr, struct node *n, enum value_type type)
{
	struct err err = ERR_INIT;

	switch (type) {
	case TYPE_INT:
		if (!whole_number(n->text, n->negative, &n->number))
			return expr_error(expr, n->pos, "%.*s is no whole number of 64 bits", STR_ARG(n->text));
		break;
	case TYPE_DECIMAL:
		if (decimal_parse(n->text, &n->number, &err))
			return expr_error(expr, n->pos, "%s", err.text);
		n->number = n->negative ? -n->number : n->number;
		break;
	case TYPE_DURATION:
		return expr_error(expr, n->pos, "%.*s needs a unit: ns, us, ms, s, m, h or d", STR_ARG(n->text));
	case TYPE_TIME:
	case TYPE_DATE:
		return expr_error(expr, n->pos,
				  "a number stands beside %s: times are written 2024-01-31 or "
				  "2024-01-31T23:59:59Z",
				  type_names[type]);
	default:
		return expr_error(expr, n->pos, "a number stands beside %s", type_names[type]);
	}
	n->type = type;
	return 0;
}

static int time_to_date(struct expr *expr, struct node *n)
{
	if (n->number % NS_PER_DAY != 0)
		return expr_error(expr, n->pos, "a time of day stands beside a date");
	n->number = clock_day_of(n->number);
	n->type = TYPE_DATE;
	return 0;
}

static int adapt(struct expr *expr, struct node *n, enum value_type type)
{
	if (n->type == TYPE_NUMBER && type != TYPE_NUMBER)
		return number_to(expr, n, type);
	if (n->type == TYPE_TIME && n->kind == NODE_LITERAL && type == TYPE_DATE)
		return time_to_date(expr, n);
	return 0;
}

/* --- arithmetic ------------------------------------------------------------------------------------------------------- */

static enum value_type sum_type(enum node_kind kind, enum value_type left, enum value_type right)
{
	if (left == right && (left == TYPE_INT || left == TYPE_DECIMAL || left == TYPE_DURATION))
		return left;
	if (left == TYPE_TIME && right == TYPE_DURATION)
		return TYPE_TIME;
	if (kind == NODE_ADD && left == TYPE_DURATION && right == TYPE_TIME)
		return TYPE_TIME;
	if (kind == NODE_SUBTRACT && left == TYPE_TIME && right == TYPE_TIME)
		return TYPE_DURATION;
	return TYPE_CONDITION;
}

static enum value_type product_type(enum value_type left, enum value_type right)
{
	if (right != TYPE_INT)
		return left == TYPE_INT && (right == TYPE_DECIMAL || right == TYPE_DURATION) ? right : TYPE_CONDITION;
	return left == TYPE_INT || left == TYPE_DECIMAL || left == TYPE_DURATION ? left : TYPE_CONDITION;
}

/* The type of a number beside a value of this type. */
static enum value_type number_beside(enum node_kind kind, enum value_type type)
{
	if (kind == NODE_MULTIPLY)
		return TYPE_INT;
	return type == TYPE_TIME ? TYPE_DURATION : type;
}

struct node *expr_arithmetic(struct expr *expr, enum node_kind kind, struct node *left, struct node *right,
			     uint32_t pos)
{
	enum value_type beside_left = number_beside(kind, left->type), beside_right = number_beside(kind, right->type);
	bool product = kind == NODE_MULTIPLY;
	enum value_type type;

	if (left->type == TYPE_NUMBER && right->type == TYPE_NUMBER) {
		expr_error(expr, pos, "both sides are constants: write the result");
		return NULL;
	}
	if (adapt(expr, left, beside_right) || adapt(expr, right, beside_left))
		return NULL;
	type = product ? product_type(left->type, right->type) : sum_type(kind, left->type, right->type);
	if (type == TYPE_CONDITION) {
		expr_error(expr, pos, "%s and %s do not go together here%s", type_names[left->type],
			   type_names[right->type], product ? ": one factor is a whole number" : "");
		return NULL;
	}
	return join(expr, kind, type, left, right, pos);
}

struct node *expr_negative(struct expr *expr, struct node *operand, uint32_t pos)
{
	struct node *zero;

	if (operand->type == TYPE_NUMBER) {
		operand->negative = !operand->negative;
		operand->pos = pos;
		return operand;
	}
	if (operand->type != TYPE_INT && operand->type != TYPE_DECIMAL && operand->type != TYPE_DURATION) {
		expr_error(expr, pos, "%s has no sign", type_names[operand->type]);
		return NULL;
	}
	zero = expr_node(expr, NODE_LITERAL, operand->type, pos);
	if (!zero)
		return NULL;
	return expr_arithmetic(expr, NODE_SUBTRACT, zero, operand, pos);
}

/* --- conditions ------------------------------------------------------------------------------------------------------- */

/* Its literal becomes the number of a class. One that no dataset is of would never be equal: a slip. */
static int class_to_number(struct expr *expr, struct node *n)
{
	CLEANUP(buf_release) struct buf list = BUF_INIT(1024);
	const char *name;
	int number;

	if (n->kind != NODE_LITERAL)
		return expr_error(expr, n->pos, "asset_class is compared with a string: 'equities'");
	number = datasets_class(*expr->datasets, n->text);
	for (unsigned i = 0; number < 0 && (name = datasets_class_name(*expr->datasets, i)); i++)
		buf_printf(&list, "%s%s", i ? ", " : "", name);
	if (number < 0)
		return expr_error(expr, n->pos, "no dataset is of class '%.*s' (there are: %s)", STR_ARG(n->text),
				  buf_text(&list));
	n->number = number;
	return 0;
}

struct node *expr_compare(struct expr *expr, uint8_t accepts, struct node *left, struct node *right, uint32_t pos)
{
	struct node *n;

	if (!left->varies && !right->varies) {
		expr_error(expr, pos, "both sides are constants");
		return NULL;
	}
	if (adapt(expr, left, right->type) || adapt(expr, right, left->type))
		return NULL;
	if (left->type != right->type || left->type == TYPE_CONDITION) {
		expr_error(expr, pos, "%s cannot be compared with %s", type_names[left->type], type_names[right->type]);
		return NULL;
	}
	if (left->type == TYPE_STRING && accepts != ORDER_EQUAL && accepts != ORDER_NOT_EQUAL) {
		expr_error(expr, pos, "strings have no order here: == and != compare them");
		return NULL;
	}
	if ((left->kind == NODE_ASSET_CLASS && class_to_number(expr, right)) ||
	    (right->kind == NODE_ASSET_CLASS && class_to_number(expr, left)))
		return NULL;
	n = join(expr, NODE_COMPARE, TYPE_CONDITION, left, right, pos);
	if (n)
		n->accepts = accepts;
	return n;
}

struct node *expr_is_null(struct expr *expr, struct node *operand, uint32_t pos)
{
	if (operand->kind != NODE_FIELD) {
		expr_error(expr, operand->pos, "only a field is null or not");
		return NULL;
	}
	if (!operand->field->nullable) {
		expr_error(expr, operand->pos, "%s is never null", operand->field->name);
		return NULL;
	}
	return join(expr, NODE_IS_NULL, TYPE_CONDITION, operand, NULL, pos);
}

struct node *expr_is_text(struct expr *expr, struct node *operand, bool negated, uint32_t pos)
{
	struct node *n;

	if (operand->kind != NODE_FIELD || operand->type != TYPE_STRING) {
		expr_error(expr, operand->pos, "only a field of strings is text or not");
		return NULL;
	}
	n = join(expr, NODE_IS_TEXT, TYPE_CONDITION, operand, NULL, pos);
	if (n)
		n->accepts = negated ? ORDER_NOT_EQUAL : ORDER_EQUAL;
	return n;
}

struct node *expr_condition(struct expr *expr, struct node *operand)
{
	if (operand->type == TYPE_CONDITION)
		return operand;
	expr_error(expr, operand->pos, "a condition is needed here, not %s", type_names[operand->type]);
	return NULL;
}

struct node *expr_logic(struct expr *expr, enum node_kind kind, struct node *left, struct node *right, uint32_t pos)
{
	if (!expr_condition(expr, left) || (right && !expr_condition(expr, right)))
		return NULL;
	return join(expr, kind, TYPE_CONDITION, left, right, pos);
}
