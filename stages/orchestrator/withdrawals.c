#include "stages/orchestrator/withdrawals.h"

#include <inttypes.h>

#include "common/cleanup.h"
#include "common/fault.h"
#include "common/log.h"
#include "stages/orchestrator/orchestrator.h"

static void log_made(int64_t attempt, const char *subscription, const struct pg_result *r)
{
	if (pg_int(r, 0, 0) > 0)
		log_info("rows_withdrawn",
			 LOG_FIELDS(log_i64("attempt", attempt), log_str("subscription", subscription),
				    log_i64("withdrawn", pg_int(r, 0, 0)), log_i64("delivered", pg_int(r, 0, 1)),
				    log_i64("stored", pg_int(r, 0, 2))),
			 "attempt %" PRId64 " of %s: %s rows that the vendor no longer has are removed", attempt,
			 subscription, pg_text(r, 0, 0));
	else if (pg_text(r, 0, 3)[0])
		log_warning("withdrawal_refused",
			    LOG_FIELDS(log_i64("attempt", attempt), log_str("subscription", subscription),
				       log_i64("delivered", pg_int(r, 0, 1)), log_i64("stored", pg_int(r, 0, 2))),
			    "attempt %" PRId64 " of %s: no row is removed: %s", attempt, subscription,
			    pg_text(r, 0, 3));
}

static int make(struct orchestrator *self, int64_t attempt, const char *subscription, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *kept = NULL;
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (pg_query(self->pg, "SELECT FROM etl.attempts WHERE attempt = $1 AND keys_kept",
		     PG_PARAMS(INT_TEXT(attempt)), &kept, err))
		return -1;
	if (pg_rows(kept) == 0)
		return 0;
	if (pg_exec(self->pg, "SELECT etl.allow_unpacking(0)", err) || /* one window's, however many they are */
	    pg_query(self->pg, "SELECT withdrawn, delivered, stored, why FROM etl.withdraw($1)",
		     PG_PARAMS(INT_TEXT(attempt)), &r, err) ||
	    pg_exec(self->pg, "SELECT etl.forget_seen_keys()", err))
		return -1;
	log_made(attempt, subscription, r);
	fault_point("withdrawn");
	return 0;
}

/* A result that cannot be understood: its coverage says so. */
int withdrawals_make(struct orchestrator *self, int64_t attempt, const char *subscription, struct err *err)
{
	struct err why = ERR_INIT;

	if (pg_exec(self->pg, "SAVEPOINT withdrawals", err))
		return -1;
	if (make(self, attempt, subscription, &why) == 0)
		return 0;
	*err = why;
	if (why.kind != ERR_RECORD)
		return err_wrap(err, "withdrawals of attempt %" PRId64, attempt);
	log_warning("withdrawal_refused", LOG_FIELDS(log_i64("attempt", attempt)), "no row is removed: %s", why.text);
	err_clear(err);
	return withdrawals_undo(self, err);
}

int withdrawals_undo(struct orchestrator *self, struct err *err)
{
	return pg_exec(self->pg, "ROLLBACK TO SAVEPOINT withdrawals", err);
}
