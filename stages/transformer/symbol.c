#include "stages/transformer/symbol.h"

static bool is_normal(struct str s)
{
	bool space = true; /* before the first byte: none may follow */

	for (uint32_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if ((c >= 'a' && c <= 'z') || (c == ' ' && space))
			return false;
		space = c == ' ';
	}
	return !space;
}

struct str symbol_ticker(struct str symbol, char scratch[TICKER_MAX])
{
	uint32_t n = 0;

	if (symbol.len > TICKER_MAX)
		return (struct str){ "", 0 };
	if (is_normal(symbol))
		return symbol;
	for (uint32_t i = 0; i < symbol.len; i++) {
		char c = symbol.data[i];

		if (c != ' ')
			scratch[n++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
		else if (n > 0 && scratch[n - 1] != ' ')
			scratch[n++] = ' ';
	}
	if (n > 0 && scratch[n - 1] == ' ')
		n--;
	return (struct str){ scratch, n };
}
