#pragma once
/*
 * The words, numbers and signs of a rule's text, one at a time. What is wrong
 * is told through expr_error(), with its place.
 */
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

/* Goes on to the next token; before the first call there is none. */
int token_next(struct parser *p);

bool token_is_word(const struct parser *p, const char *word);
bool token_is_sign(const struct parser *p, const char *sign);

/* Goes on behind the sign; it is an error if it is not there. */
int token_expect(struct parser *p, const char *sign);
