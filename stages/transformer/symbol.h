#pragma once
/*
 * Tickers: a vendor's symbol in the one form in which people look for it.
 * Spaces at both ends go, runs of spaces inside become one, a to z become
 * capitals; every other byte stays: 'AAPL  250221C00250000' becomes
 * 'AAPL 250221C00250000', '005930' stays.
 */
#include <stdint.h>

#include "common/str.h"

#define TICKER_MAX 1024 /* bytes of a symbol that has a ticker */

/*
 * Points into the symbol where that is normal already, else into `scratch`.
 * Empty where nothing but spaces is in it, or it is longer than TICKER_MAX.
 */
struct str symbol_ticker(struct str symbol, char scratch[TICKER_MAX]);
