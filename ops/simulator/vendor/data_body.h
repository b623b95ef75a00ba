#pragma once
/* The records of a query as a body: made, encoded, compressed and metered while they are sent. */
#include "ops/simulator/vendor/query.h"

struct data_part {
	int64_t start, end;
	uint32_t symbol;       /* UINT32_MAX: all */
	uint64_t *ret_records; /* counted there; NULL: nowhere */
};

/* The query must outlive the body, or be given to it (owned). ERR_FATAL: the head gets too large. */
int data_body_open(struct body *ret, struct query *query, const struct data_part *part, struct query *owned,
		   struct err *err);
