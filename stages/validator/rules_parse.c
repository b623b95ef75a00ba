/*
 * or        = and { "or" and }
 * and       = not { "and" not }
 * not       = "not" not | predicate
 * predicate = sum [ ( < <= > >= == != ) sum | "is" ["not"] ( "null" | "text" ) | ["not"] "in" "(" sum { "," sum } ")" ]
 * sum       = product { ( + - ) product }
 * product   = sign { * sign }
 * sign      = "-" sign | primary
 * primary   = number | duration | time | 'string' | "now" | "length" "(" field ")" | field | "(" or ")"
 */
#include "common/clock.h"
#include "stages/validator/rules_internal.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_NUMBER, TOKEN_DURATION, TOKEN_TIME, TOKEN_STRING, TOKEN_SIGN };

struct token {
	enum token_kind kind;
	uint32_t pos;
	struct str text; /* without the quotes of a string */
	int64_t number;  /* ns of a time or duration */
};

struct parser {
	struct expr *expr;
	uint32_t pos; /* behind the token */
	struct token token;
	unsigned depth;
};

/* --- tokens ----------------------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Length of dddd-dd-dd[Tdd:dd:dd[.d][Z]] at p, 0 where there is none. */
static uint32_t time_length(const char *p)
{
	static const char shape[] = "dddd-dd-dd";
	uint32_t n = 0;

	for (; n < sizeof(shape) - 1; n++)
		if (shape[n] == 'd' ? !is_digit(p[n]) : p[n] != shape[n])
			return 0;
	if (p[n] == 'T') {
		n++;
		while (is_digit(p[n]) || p[n] == ':' || p[n] == '.')
			n++;
		n += p[n] == 'Z';
	}
	return n;
}

static int take_unit(struct parser *p, const char *unit, uint32_t length)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "ns", 1 },
		      { "us", 1000 },
		      { "ms", 1000000 },
		      { "s", NS_PER_SECOND },
		      { "m", 60 * NS_PER_SECOND },
		      { "h", 3600 * NS_PER_SECOND },
		      { "d", NS_PER_DAY } };
	struct token *t = &p->token;
	int64_t n = 0;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!str_eq(str_of(units[i].name), (struct str){ unit, length }))
			continue;
		for (uint32_t k = 0; k < t->text.len; k++)
			if (!is_digit(t->text.data[k]) || __builtin_mul_overflow(n, 10, &n) ||
			    __builtin_add_overflow(n, t->text.data[k] - '0', &n))
				return expr_error(p->expr, t->pos, "a duration is a whole number and a unit");
		if (__builtin_mul_overflow(n, units[i].ns, &t->number))
			return expr_error(p->expr, t->pos, "a duration is at most 292 years");
		t->kind = TOKEN_DURATION;
		return 0;
	}
	return expr_error(p->expr, t->pos, "'%.*s' is neither a number nor a duration such as 30m or 1d",
			  (int)(t->text.len + length), t->text.data);
}

static int lex_number(struct parser *p, const char *at)
{
	struct token *t = &p->token;
	uint32_t n = time_length(at), letters = 0;

	if (n) {
		t->kind = TOKEN_TIME;
		t->text = (struct str){ at, n };
		p->pos += n;
		if (!clock_parse(t->text, &t->number))
			return expr_error(p->expr, t->pos, "%.*s is no time", STR_ARG(t->text));
		return 0;
	}
	while (is_digit(at[n]))
		n++;
	if (at[n] == '.' && is_digit(at[n + 1]))
		for (n++; is_digit(at[n]);)
			n++;
	t->kind = TOKEN_NUMBER;
	t->text = (struct str){ at, n };
	while (is_letter(at[n + letters]))
		letters++;
	p->pos += n + letters;
	return letters ? take_unit(p, at + n, letters) : 0;
}

static int lex_string(struct parser *p, const char *at)
{
	uint32_t n = (uint32_t)strcspn(at + 1, "'");

	if (at[n + 1] != '\'')
		return expr_error(p->expr, p->token.pos, "a string is not closed");
	p->token.kind = TOKEN_STRING;
	p->token.text = (struct str){ at + 1, n };
	p->pos += n + 2;
	return 0;
}

/* What other languages write, and what it is here. */
static int lex_sign(struct parser *p, const char *at)
{
	static const char *const signs[] = { "<=", ">=", "==", "!=", "<", ">", "(", ")", ",", "+", "-", "*" };
	static const struct {
		const char *there, *here;
	} foreign[] = { { "<>", "!=" },
			{ "=", "==" },
			{ "&&", "and" },
			{ "||", "or" },
			{ "!", "not" },
			{ "\"", "'…'" },
			{ "/", "no division: multiply the other side" } };

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strncmp(at, foreign[i].there, strlen(foreign[i].there)) == 0 && strncmp(at, "==", 2) != 0 &&
		    strncmp(at, "!=", 2) != 0)
			return expr_error(p->expr, p->token.pos, "'%s' is not used here (use: %s)", foreign[i].there,
					  foreign[i].here);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		uint32_t n = (uint32_t)strlen(signs[i]);

		if (strncmp(at, signs[i], n) != 0)
			continue;
		p->token.kind = TOKEN_SIGN;
		p->token.text = (struct str){ at, n };
		p->pos += n;
		return 0;
	}
	return expr_error(p->expr, p->token.pos, "'%.1s' is not used here", at);
}

static int next(struct parser *p)
{
	const char *text = p->expr->text;
	uint32_t n = 0;

	while (is_space(text[p->pos]))
		p->pos++;
	p->token = (struct token){ .kind = TOKEN_END, .pos = p->pos, .text = { text + p->pos, 0 } };
	if (!text[p->pos])
		return 0;
	if (is_digit(text[p->pos]))
		return lex_number(p, text + p->pos);
	if (text[p->pos] == '\'')
		return lex_string(p, text + p->pos);
	if (!is_letter(text[p->pos]))
		return lex_sign(p, text + p->pos);
	while (is_letter(text[p->pos + n]) || is_digit(text[p->pos + n]))
		n++;
	p->token.kind = TOKEN_WORD;
	p->token.text.len = n;
	p->pos += n;
	return 0;
}

static bool at_word(const struct parser *p, const char *word)
{
	return p->token.kind == TOKEN_WORD && str_eq(p->token.text, str_of(word));
}

static bool at_sign(const struct parser *p, const char *sign)
{
	return p->token.kind == TOKEN_SIGN && str_eq(p->token.text, str_of(sign));
}

static int expect_sign(struct parser *p, const char *sign)
{
	if (at_sign(p, sign))
		return next(p);
	if (p->token.kind == TOKEN_END)
		return expr_error(p->expr, p->token.pos, "'%s' is missing at the end", sign);
	return expr_error(p->expr, p->token.pos, "'%s' is needed before '%.*s'", sign, STR_ARG(p->token.text));
}

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
	return next(p) ? NULL : n;
}

static struct node *parse_length(struct parser *p, uint32_t pos)
{
	struct node *field, *n;

	if (expect_sign(p, "("))
		return NULL;
	field = p->token.kind == TOKEN_WORD ? expr_field(p->expr, p->token.text, p->token.pos) : NULL;
	if (p->token.kind != TOKEN_WORD || (field && field->type != TYPE_STRING))
		expr_error(p->expr, p->token.pos, "length takes a field of strings");
	if (!field || field->type != TYPE_STRING || next(p) || expect_sign(p, ")"))
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
	if (next(p))
		return NULL;
	if (str_eq(t.text, STR_LIT("length")) && at_sign(p, "("))
		return parse_length(p, t.pos);
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
	if (!at_sign(p, "(")) {
		expr_error(p->expr, p->token.pos, "a value is needed before '%.*s'", STR_ARG(p->token.text));
		return NULL;
	}
	if (next(p))
		return NULL;
	n = parse_or(p);
	return n && expect_sign(p, ")") == 0 ? n : NULL;
}

static struct node *parse_sign(struct parser *p)
{
	uint32_t pos = p->token.pos;
	struct node *n;

	if (enter(p))
		return NULL;
	if (at_sign(p, "-")) {
		n = next(p) ? NULL : parse_sign(p);
		n = n ? expr_negative(p->expr, n, pos) : NULL;
	} else {
		n = parse_primary(p);
	}
	p->depth--;
	return n;
}

static struct node *parse_product(struct parser *p)
{
	struct node *left = parse_sign(p), *right;

	while (left && at_sign(p, "*")) {
		uint32_t pos = p->token.pos;

		right = next(p) ? NULL : parse_sign(p);
		left = right ? expr_arithmetic(p->expr, NODE_MULTIPLY, left, right, pos) : NULL;
	}
	return left;
}

static struct node *parse_sum(struct parser *p)
{
	struct node *left = parse_product(p), *right;

	while (left && (at_sign(p, "+") || at_sign(p, "-"))) {
		enum node_kind kind = at_sign(p, "+") ? NODE_ADD : NODE_SUBTRACT;
		uint32_t pos = p->token.pos;

		right = next(p) ? NULL : parse_product(p);
		left = right ? expr_arithmetic(p->expr, kind, left, right, pos) : NULL;
	}
	return left;
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
		if (at_sign(p, table[i].sign))
			return table[i].accepts;
	return 0;
}

static struct node *parse_is(struct parser *p, struct node *operand, uint32_t pos)
{
	bool negated;
	struct node *n;

	if (next(p))
		return NULL;
	negated = at_word(p, "not");
	if (negated && next(p))
		return NULL;
	if (at_word(p, "text")) {
		n = expr_is_text(p->expr, operand, negated, pos);
	} else if (at_word(p, "null")) {
		n = expr_is_null(p->expr, operand, pos);
		n = n && negated ? expr_logic(p->expr, NODE_NOT, n, NULL, pos) : n;
	} else {
		expr_error(p->expr, p->token.pos, "'is' goes on with null, not null, text or not text");
		return NULL;
	}
	return n && next(p) == 0 ? n : NULL;
}

/* One comparison for each item: equal to any, or different from all. */
static struct node *parse_in(struct parser *p, struct node *operand, bool negated, uint32_t pos)
{
	struct node *all = NULL, *item, *one;

	if (next(p) || expect_sign(p, "("))
		return NULL;
	do {
		if (all && next(p))
			return NULL;
		item = parse_sum(p);
		one = item ? expr_compare(p->expr, negated ? ORDER_NOT_EQUAL : ORDER_EQUAL, operand, item, item->pos)
			   : NULL;
		if (!one)
			return NULL;
		all = all ? expr_logic(p->expr, negated ? NODE_AND : NODE_OR, all, one, pos) : one;
	} while (all && at_sign(p, ","));
	return all && expect_sign(p, ")") == 0 ? all : NULL;
}

static struct node *parse_comparison(struct parser *p, struct node *left, uint8_t accepts, uint32_t pos)
{
	struct node *right = next(p) ? NULL : parse_sum(p);
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
	if (at_word(p, "is"))
		return parse_is(p, left, pos);
	negated = at_word(p, "not");
	if (negated && next(p))
		return NULL;
	if (at_word(p, "in"))
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

	if (!at_word(p, "not"))
		return parse_predicate(p);
	if (enter(p))
		return NULL;
	n = next(p) ? NULL : parse_not(p);
	n = n ? expr_logic(p->expr, NODE_NOT, n, NULL, pos) : NULL;
	p->depth--;
	return n;
}

static struct node *parse_and(struct parser *p)
{
	struct node *left = parse_not(p), *right;

	while (left && at_word(p, "and")) {
		uint32_t pos = p->token.pos;

		right = next(p) ? NULL : parse_not(p);
		left = right ? expr_logic(p->expr, NODE_AND, left, right, pos) : NULL;
	}
	return left;
}

static struct node *parse_or(struct parser *p)
{
	struct node *left = parse_and(p), *right;

	while (left && at_word(p, "or")) {
		uint32_t pos = p->token.pos;

		right = next(p) ? NULL : parse_and(p);
		left = right ? expr_logic(p->expr, NODE_OR, left, right, pos) : NULL;
	}
	return left;
}

struct node *expr_parse(struct expr *expr)
{
	struct parser p = { .expr = expr };
	struct node *n = next(&p) ? NULL : parse_or(&p);

	if (n && p.token.kind != TOKEN_END) {
		expr_error(expr, p.token.pos, "'%.*s' is one too many here", STR_ARG(p.token.text));
		return NULL;
	}
	return n ? expr_condition(expr, n) : NULL;
}
