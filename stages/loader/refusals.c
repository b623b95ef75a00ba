#include "stages/loader/refusals.h"

#include <stdlib.h>

#include "common/mem.h"

void refusals_clear(struct refusals *refusals)
{
	for (unsigned i = 0; i < refusals->count; i++)
		free(refusals->list[i].why);
	refusals->count = 0;
}

void refusals_release(struct refusals *refusals)
{
	refusals_clear(refusals);
	free(refusals->list);
	*refusals = (struct refusals){ 0 };
}

int refusals_attempt(struct pg *pg, const struct row_writer *writer, const int32_t *sequences, int64_t count,
		     bool *ret_refused, struct err *err)
{
	*ret_refused = false;
	if (pg_exec(pg, "SAVEPOINT part", err))
		return -1;
	if (writer->write(writer->self, sequences, count, err) == 0)
		return pg_exec(pg, "RELEASE SAVEPOINT part", err);
	if (err->kind != ERR_RECORD)
		return -1;
	err_clear(err);
	*ret_refused = true;
	return pg_exec(pg, "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part", err);
}

static void add(struct refusals *refusals, int32_t sequence, const char *why)
{
	if (refusals->count == refusals->cap) {
		refusals->cap = refusals->cap ? refusals->cap * 2 : 64;
		refusals->list = mem_realloc(refusals->list, refusals->cap, sizeof(*refusals->list));
	}
	refusals->list[refusals->count++] = (struct refusal){ sequence, mem_strdup(why) };
}

/*
 * Writes all rows but those that are refused by themselves. A part that is
 * refused is halved until the first such row of it is found; behind that one,
 * parts begin with one row and double, as refused rows seldom come alone: where
 * all are refused, each is tried once.
 */
int refusals_find(struct refusals *refusals, struct pg *pg, const struct row_writer *writer, const int32_t *sequences,
		  int64_t count, struct err *err)
{
	int64_t done = 0, size = count, suspect = 0; /* among the rows before `suspect` is a refused one */

	while (done < count) {
		int64_t n = size < count - done ? size : count - done;
		bool refused;

		if (refusals_attempt(pg, writer, sequences + done, n, &refused, err))
			return -1;
		if (refused && n > 1) {
			suspect = done + n;
			size = n / 2;
			continue;
		}
		if (refused) {
			if (writer->judge && writer->judge(writer->self, sequences[done], err))
				return -1;
			add(refusals, sequences[done], pg_failure(pg));
			suspect = 0;
		}
		done += n;
		size = refused ? 1 : suspect > done ? (suspect - done + 1) / 2 : 2 * n;
	}
	return 0;
}
