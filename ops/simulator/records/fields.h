#pragma once
/* How the tables of fields are written down. */
#include "ops/simulator/records/layout.h"

#define PLACES(at1, n1, at2, n2, at3, n3) \
	{ \
		{ at1, n1 }, { at2, n2 }, \
		{ \
			at3, n3 \
		} \
	}
/* The same place in every version. */
#define SAME(name, type, kind, member, at, bytes) \
	{ \
		name, type, kind, offsetof(struct record, member), 0, PLACES(at, bytes, at, bytes, at, bytes) \
	}
