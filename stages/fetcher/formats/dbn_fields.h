#pragma once
/* How the tables of fields are written: offsets are those of the vendor's specification, in the whole record. */
#include "stages/fetcher/formats/dbn_types.h"

/* At the same place in every version. */
#define SAME(name, kind, at) \
	{ \
#name, DBN_##kind, 0, false, \
		{ \
			at, at, at \
		} \
	}
#define EACH(name, kind, v1, v2, v3) \
	{ \
#name, DBN_##kind, 0, false, \
		{ \
			v1, v2, v3 \
		} \
	}
/* The greatest number means: undefined. */
#define UNDEF(name, kind, v1, v2, v3) \
	{ \
#name, DBN_##kind, 0, true, \
		{ \
			v1, v2, v3 \
		} \
	}
#define TEXT(name, bytes, v1, v2, v3) \
	{ \
#name, DBN_TEXT, bytes, false, \
		{ \
			v1, v2, v3 \
		} \
	}
/* The end of a table. */
#define END \
	{ \
		.name = NULL \
	}

extern const struct dbn_field dbn_definition_fields[];
