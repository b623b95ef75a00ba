#include "stages/validator/rules_tokens.h"

#include "common/clock.h"

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

int token_next(struct parser *p)
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

bool token_is_word(const struct parser *p, const char *word)
{
	return p->token.kind == TOKEN_WORD && str_eq(p->token.text, str_of(word));
}

bool token_is_sign(const struct parser *p, const char *sign)
{
	return p->token.kind == TOKEN_SIGN && str_eq(p->token.text, str_of(sign));
}

int token_expect(struct parser *p, const char *sign)
{
	if (token_is_sign(p, sign))
		return token_next(p);
	if (p->token.kind == TOKEN_END)
		return expr_error(p->expr, p->token.pos, "'%s' is missing at the end", sign);
	return expr_error(p->expr, p->token.pos, "'%s' is needed before '%.*s'", sign, STR_ARG(p->token.text));
}
