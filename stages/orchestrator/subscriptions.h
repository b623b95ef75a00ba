#pragma once
/*
 * subscriptions.yaml: what is to be ingested. Read anew each time it is
 * needed, so that a change takes effect without a restart; every error names
 * file and line.
 */
#include <stdbool.h>

#include "common/err.h"
#include "stages/orchestrator/windows.h"

struct subscription_source;

/* Source databento: what a vendor is asked for. */
struct vendor_request {
	char **symbols;
	unsigned symbol_count;
	const char *record_type; /* that the schema's records become */
	const char *stype_in;
	const char *via;    /* "stream" or "batch" */
	int64_t start, end; /* ns; the end is not included */
	bool has_end;       /* otherwise it is now */
	enum window_chunk chunk;
	int64_t cost_max; /* USD, in units of 1e-9 */
};

struct subscription {
	char *name;
	char *source;
	unsigned line;                         /* where it begins */
	const struct subscription_source *how; /* NULL: this version lacks its source; then nothing below is read */
	char **paths;                          /* source file: paths or globs as written */
	unsigned path_count;
	char *dataset;        /* of a file, "": what its metadata says */
	char *schema;         /* of a file, "": what its metadata says */
	char *parameters;     /* "", or JSON: what else its tasks say */
	bool symbol_mappings; /* what the vendor's metadata says of symbols is loaded, too */
	struct vendor_request vendor;
};

struct subscriptions {
	char *file;
	char *folder; /* absolute: what relative paths start from */
	struct subscription *items;
	unsigned count;
};

#define SUBSCRIPTIONS_INIT \
	{ \
		0 \
	}

/* ERR_RECORD with file and line where it is not as it should be. */
int subscriptions_read(struct subscriptions *ret, const char *file, struct err *err);
void subscriptions_release(struct subscriptions *list);

/* NULL: there is none of that name. */
const struct subscription *subscriptions_find(const struct subscriptions *list, const char *name);
