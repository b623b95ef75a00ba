#pragma once
/* A filter as people write it: "rule = 'HIGH_LESS_THAN_LOW' and symbol = 'ESH1'". Each term becomes a parameter. */
#include "common/err.h"

#define WHERE_TERMS_MAX 16

struct where_term {
	char *name, *value;
};

struct where {
	struct where_term terms[WHERE_TERMS_MAX];
	unsigned count;
};

/* ERR_RECORD says what is wrong, and where. */
int where_parse(struct where *ret, const char *text, struct err *err);
void where_release(struct where *where);
