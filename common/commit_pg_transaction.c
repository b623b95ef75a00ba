#include <inttypes.h>

#include "common/cleanup.h"
#include "common/commit_pg_internal.h"
#include "common/fault.h"

/* The batch's partitions, for jsonb_to_recordset(). */
int commit_pg_describe(struct commit_pg *commit, const struct stage_position *positions, unsigned count,
		       struct err *err)
{
	struct buf *text = &commit->batch;

	buf_reset(text);
	buf_put_u8(text, '[');
	for (unsigned i = 0; i < count; i++) {
		const struct stage_position *p = &positions[i];
		struct owned *owned = commit_pg_owned(commit, p->topic, p->partition);

		if (!owned)
			return err_set(err, ERR_FATAL, "%s [%d] was not taken over", p->topic, p->partition);
		owned->leaving = p->next;
		buf_printf(text,
			   "%s{\"topic\":\"%s\",\"partition\":%d,\"epoch\":%" PRId64 ",\"start\":%" PRId64
			   ",\"next\":%" PRId64 ",\"starts\":%u,\"last\":%" PRId64 ",\"ts\":%" PRId64
			   ",\"crc\":%" PRId64 "}",
			   i ? "," : "", owned->topic, owned->partition, owned->epoch, owned->next, p->next, p->starts,
			   p->last->offset, p->last->timestamp_ms, commit_pg_crc(p->last));
	}
	buf_put_u8(text, ']');
	commit->batch_count = count;
	return text->overflow ? err_set(err, ERR_FATAL, "too many partitions in one batch") : 0;
}

#define BATCH \
	" jsonb_to_recordset($2::jsonb) AS b (topic text, partition integer, epoch bigint, start bigint," \
	" next bigint, starts integer, last bigint, ts bigint, crc bigint)"
#define SAME_PARTITION " o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition"
#define UNMOVED " AND o.epoch = b.epoch AND o.next_offset = b.start"

static int check_unmoved(struct commit_pg *commit, int64_t found, unsigned count, struct err *err)
{
	commit->fenced = found != count;
	if (commit->fenced)
		return err_set(err, ERR_RETRY, "another worker took over %" PRId64 " of %u partitions", count - found,
			       count);
	return 0;
}

/* Before the work: a stale owner learns here that it is one, and everybody locks in the same order. */
static int lock_offsets(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;

	if (fault_defect("no_compare_and_swap"))
		return 0;
	if (pg_query(commit->pg,
		     "SELECT 1 FROM etl.offsets o JOIN" BATCH " ON" SAME_PARTITION UNMOVED
		     " ORDER BY o.topic, o.partition FOR UPDATE OF o",
		     PG_PARAMS(commit->group, batch), &r, err))
		return -1;
	return check_unmoved(commit, pg_rows(r), count, err);
}

#define SWAP \
	"UPDATE etl.offsets o SET next_offset = b.next, starts = b.starts, last_offset = b.last," \
	" last_timestamp_ms = b.ts, last_crc = b.crc, updated_at = now() FROM" BATCH " WHERE" SAME_PARTITION

static int swap_offsets(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	const char *sql = fault_defect("no_compare_and_swap") ? SWAP : SWAP UNMOVED;

	if (pg_query(commit->pg, sql, PG_PARAMS(commit->group, batch), &r, err))
		return -1;
	return check_unmoved(commit, pg_affected(r), count, err);
}

#ifdef PENSTOCK_WITH_FAULTS
static int split_transaction(struct commit_pg *commit, struct err *err)
{
	if (pg_commit(commit->pg, err))
		return -1;
	fault_point("between");
	return pg_begin(commit->pg, err);
}

/* The two mistakes that this file exists to avoid. */
static int transact_wrongly(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	const struct commit_pg_effects *effects = &commit->effects;
	bool offset_first = fault_defect("offset_before_rows");

	if (pg_begin(commit->pg, err) || lock_offsets(commit, batch, count, err) ||
	    (offset_first && (swap_offsets(commit, batch, count, err) || split_transaction(commit, err))) ||
	    effects->write(effects->self, commit->pg, err) ||
	    (!offset_first && (split_transaction(commit, err) || swap_offsets(commit, batch, count, err))))
		return -1;
	return pg_commit(commit->pg, err);
}
#endif

static int transact(struct commit_pg *commit, const char *batch, unsigned count, struct err *err)
{
	const struct commit_pg_effects *effects = &commit->effects;

#ifdef PENSTOCK_WITH_FAULTS
	if (fault_defect("offset_before_rows") || fault_defect("rows_without_offset"))
		return transact_wrongly(commit, batch, count, err);
#endif
	fault_point("before_begin");
	if (pg_begin(commit->pg, err) || lock_offsets(commit, batch, count, err) ||
	    effects->write(effects->self, commit->pg, err))
		return -1;
	fault_point("effects_written");
	if (swap_offsets(commit, batch, count, err))
		return -1;
	fault_point("before_commit");
	if (pg_commit(commit->pg, err))
		return -1;
	fault_point("after_commit");
	return 0;
}

int commit_pg_transact(struct commit_pg *commit, struct err *err)
{
	return commit->effects.prepare(commit->effects.self, commit->pg, err) ||
			       transact(commit, buf_text(&commit->batch), commit->batch_count, err)
		       ? -1
		       : 0;
}
