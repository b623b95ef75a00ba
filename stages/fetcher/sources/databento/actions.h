#pragma once
/*
 * What a task of source databento may ask for; each is a source of its own,
 * chosen by databento.c.
 */
#include "stages/fetcher/sources/sources.h"

/* No records: what a window would cost, and what the vendor has of it. */
/* conditions_only: what the vendor says of days, and no price. */
int databento_open_quote(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			 bool conditions_only, struct err *err);

/* A window's records, decoded while they arrive. */
int databento_open_stream(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			  const char *resume, struct err *err);

/* The same by a batch job: files that the vendor prepares, fetched whole and checked before they are read. */
int databento_open_batch(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			 const char *resume, struct err *err);

/* Which symbols stand for which, of a window's days: symbology.resolve, as records. */
int databento_open_mappings(struct source **ret, const struct source_env *env, const struct fetch_task *task,
			    const char *resume, struct err *err);
