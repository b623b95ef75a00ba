/*
 * or        = and { "or" and }
 * and       = not { "and" not }
 * not       = "not" not | predicate
 * predicate = sum [ ( < <= > >= == != ) sum | "is" ["not"] ( "null" | "text" ) | ["not"] "in" "(" sum { "," sum } ")" ]
 * sum       = product { ( + - ) product }
 * product   = sign { * sign }
 * sign      = "-" sign | primary
 * primary   = number | duration | time | 'string' | "now" | "asset_class" | "length" "(" field ")" | field | "(" or ")"
 */
#include "stages/validator/rules_tokens.h"

static int enter(struct parser *p)
{
	if (p->depth++ < EXPR_DEPTH_MAX)
		return 0;
	return expr_error(p->expr, p->token.pos, "nested deeper than %d", EXPR_DEPTH_MAX);
}

/* --- values ----------------------------------------------------------------------------------------------------------- */

static struct node *parse_or(struct parser *p);

static struct node *parse_literal(struct parser *p, enum value_type type)
{
	struct node *n = expr_node(p->expr, NODE_LITERAL, type, p->token.pos);

	if (!n)
		return NULL;
	n->text = p->token.text;
	n->number = p->token.number;
	return token_next(p) ? NULL : n;
}

static struct node *parse_length(struct parser *p, uint32_t pos)
{
	struct node *field, *n;

	if (token_expect(p, "("))
		return NULL;
	field = p->token.kind == TOKEN_WORD ? expr_field(p->expr, p->token.text, p->token.pos) : NULL;
	if (p->token.kind != TOKEN_WORD || (field && field->type != TYPE_STRING))
		expr_error(p->expr, p->token.pos, "length takes a field of strings");
	if (!field || field->type != TYPE_STRING || token_next(p) || token_expect(p, ")"))
		return NULL;
	n = expr_node(p->expr, NODE_LENGTH, TYPE_INT, pos);
	if (!n)
		return NULL;
	n->field = field->field;
	n->needs = field->needs;
	n->varies = true;
	return n;
}

static bool is_reserved(struct str word)
{
	static const char *const words[] = { "and", "or", "not", "is", "in", "null", "text" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq(word, str_of(words[i])))
			return true;
	return false;
}

static struct node *parse_word(struct parser *p)
{
	struct token t = p->token;
	struct node *n;

	if (is_reserved(t.text)) {
		expr_error(p->expr, t.pos, "a value is needed before '%.*s'", STR_ARG(t.text));
		return NULL;
	}
	if (token_next(p))
		return NULL;
	if (str_eq(t.text, STR_LIT("length")) && token_is_sign(p, "("))
		return parse_length(p, t.pos);
	if (str_eq(t.text, STR_LIT("asset_class")))
		return expr_asset_class(p->expr, t.pos);
	if (!str_eq(t.text, STR_LIT("now")))
		return expr_field(p->expr, t.text, t.pos);
	n = expr_node(p->expr, NODE_NOW, TYPE_TIME, t.pos);
	if (n)
		n->varies = true;
	return n;
}

static struct node *parse_primary(struct parser *p)
{
	struct node *n;

	switch (p->token.kind) {
	case TOKEN_NUMBER:
		return parse_literal(p, TYPE_NUMBER);
	case TOKEN_DURATION:
		return parse_literal(p, TYPE_DURATION);
	case TOKEN_TIME:
		return parse_literal(p, TYPE_TIME);
	case TOKEN_STRING:
		return parse_literal(p, TYPE_STRING);
	case TOKEN_WORD:
		return parse_word(p);
	case TOKEN_END:
		expr_error(p->expr, p->token.pos, "a value is missing at the end");
		return NULL;
	case TOKEN_SIGN:
		break;
	}
	if (!token_is_sign(p, "(")) {
		expr_error(p->expr, p->token.pos, "a value is needed before '%.*s'", STR_ARG(p->token.text));
		return NULL;
	}
	if (token_next(p))
		return NULL;
	n = parse_or(p);
	return n && token_expect(p, ")") == 0 ? n : NULL;
}

static struct node *parse_sign(struct parser *p)
{
	uint32_t pos = p->token.pos;
	struct node *n;

	if (enter(p))
		return NULL;
	if (token_is_sign(p, "-")) {
		n = token_next(p) ? NULL : parse_sign(p);
		n = n ? expr_negative(p->expr, n, pos) : NULL;
	} else {
		n = parse_primary(p);
	}
	p->depth--;
	return n;
}

/* Operators of one rank, and what is made of two operands; the list ends with a NULL text. */
struct rank {
	struct node *(*operand)(struct parser *p);
	struct node *(*join)(struct expr *expr, enum node_kind kind, struct node *left, struct node *right,
			     uint32_t pos);
	struct joint {
		const char *text;
		enum node_kind kind;
	} joints[3];
};

static const struct joint *find_joint(const struct parser *p, const struct rank *rank)
{
	for (const struct joint *o = rank->joints; o->text; o++)
		if (token_is_sign(p, o->text) || token_is_word(p, o->text))
			return o;
	return NULL;
}

/* operand { operator operand }, from left to right */
static struct node *parse_rank(struct parser *p, const struct rank *rank)
{
	struct node *left = rank->operand(p), *right;
	const struct joint *found;

	while (left && (found = find_joint(p, rank))) {
		uint32_t pos = p->token.pos;

		right = token_next(p) ? NULL : rank->operand(p);
		left = right ? rank->join(p->expr, found->kind, left, right, pos) : NULL;
	}
	return left;
}

static struct node *parse_product(struct parser *p)
{
	return parse_rank(p, &(struct rank){ parse_sign, expr_arithmetic, { { "*", NODE_MULTIPLY } } });
}

static struct node *parse_sum(struct parser *p)
{
	return parse_rank(
		p, &(struct rank){ parse_product, expr_arithmetic, { { "+", NODE_ADD }, { "-", NODE_SUBTRACT } } });
}

/* --- conditions ------------------------------------------------------------------------------------------------------- */

static uint8_t comparison(const struct parser *p)
{
	static const struct {
		const char *sign;
		uint8_t accepts;
	} table[] = {
		{ "<", ORDER_LESS },    { "<=", ORDER_LESS | ORDER_EQUAL },    { "==", ORDER_EQUAL },
		{ ">", ORDER_GREATER }, { ">=", ORDER_GREATER | ORDER_EQUAL }, { "!=", ORDER_NOT_EQUAL },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (token_is_sign(p, table[i].sign))
			return table[i].accepts;
	return 0;
}

static struct node *parse_is(struct parser *p, struct node *operand, uint32_t pos)
{
	bool negated;
	struct node *n;

	if (token_next(p))
		return NULL;
	negated = token_is_word(p, "not");
	if (negated && token_next(p))
		return NULL;
	if (token_is_word(p, "text")) {
		n = expr_is_text(p->expr, operand, negated, pos);
	} else if (token_is_word(p, "null")) {
		n = expr_is_null(p->expr, operand, pos);
		n = n && negated ? expr_logic(p->expr, NODE_NOT, n, NULL, pos) : n;
	} else {
		expr_error(p->expr, p->token.pos, "'is' goes on with null, not null, text or not text");
		return NULL;
	}
	return n && token_next(p) == 0 ? n : NULL;
}

/* One comparison for each item: equal to any, or different from all. */
static struct node *parse_in(struct parser *p, struct node *operand, bool negated, uint32_t pos)
{
	struct node *all = NULL, *item, *one;

	if (token_next(p) || token_expect(p, "("))
		return NULL;
	do {
		if (all && token_next(p))
			return NULL;
		item = parse_sum(p);
		one = item ? expr_compare(p->expr, negated ? ORDER_NOT_EQUAL : ORDER_EQUAL, operand, item, item->pos)
			   : NULL;
		if (!one)
			return NULL;
		all = all ? expr_logic(p->expr, negated ? NODE_AND : NODE_OR, all, one, pos) : one;
	} while (all && token_is_sign(p, ","));
	return all && token_expect(p, ")") == 0 ? all : NULL;
}

static struct node *parse_comparison(struct parser *p, struct node *left, uint8_t accepts, uint32_t pos)
{
	struct node *right = token_next(p) ? NULL : parse_sum(p);
	struct node *n = right ? expr_compare(p->expr, accepts, left, right, pos) : NULL;

	if (n && comparison(p)) {
		expr_error(p->expr, p->token.pos, "two comparisons in a row: join them with `and`");
		return NULL;
	}
	return n;
}

static struct node *parse_predicate(struct parser *p)
{
	struct node *left = parse_sum(p);
	uint32_t pos = p->token.pos;
	bool negated;

	if (!left)
		return NULL;
	if (comparison(p))
		return parse_comparison(p, left, comparison(p), pos);
	if (token_is_word(p, "is"))
		return parse_is(p, left, pos);
	negated = token_is_word(p, "not");
	if (negated && token_next(p))
		return NULL;
	if (token_is_word(p, "in"))
		return parse_in(p, left, negated, pos);
	if (negated) {
		expr_error(p->expr, p->token.pos, "`not` behind a value goes on with `in`");
		return NULL;
	}
	return left;
}

static struct node *parse_not(struct parser *p)
{
	uint32_t pos = p->token.pos;
	struct node *n;

	if (!token_is_word(p, "not"))
		return parse_predicate(p);
	if (enter(p))
		return NULL;
	n = token_next(p) ? NULL : parse_not(p);
	n = n ? expr_logic(p->expr, NODE_NOT, n, NULL, pos) : NULL;
	p->depth--;
	return n;
}

static struct node *parse_and(struct parser *p)
{
	return parse_rank(p, &(struct rank){ parse_not, expr_logic, { { "and", NODE_AND } } });
}

static struct node *parse_or(struct parser *p)
{
	return parse_rank(p, &(struct rank){ parse_and, expr_logic, { { "or", NODE_OR } } });
}

struct node *expr_parse(struct expr *expr)
{
	struct parser p = { .expr = expr };
	struct node *n = token_next(&p) ? NULL : parse_or(&p);

	if (n && p.token.kind != TOKEN_END) {
		expr_error(expr, p.token.pos, "'%.*s' is one too many here", STR_ARG(p.token.text));
		return NULL;
	}
	return n ? expr_condition(expr, n) : NULL;
}
