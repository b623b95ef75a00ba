#include <inttypes.h>

#include "common/log.h"
#include "common/stage_internal.h"
#include "common/worker.h"

#define STARTS_CAREFUL 3
#define STARTS_REFUSED 5
#define SINGLES 100 /* messages one by one, before careful batches grow */

bool stage_careful_now(const struct stage_loop *loop)
{
	return loop->records_max < loop->stage->batch_records_max;
}

void stage_careful_starts(const struct stage_loop *loop, struct stage_position *positions, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		positions[i].starts = stage_careful_now(loop) ? STARTS_CAREFUL - 1 : 0;
}

void stage_careful_grow(struct stage_loop *loop)
{
	if (!stage_careful_now(loop) || ++loop->singles < SINGLES)
		return;
	loop->records_max *= 2;
	if (loop->records_max < loop->stage->batch_records_max)
		return;
	loop->records_max = loop->stage->batch_records_max;
	log_info("careful_ended", NULL, "batches are of normal size again");
}

static void begin_careful(struct stage_loop *loop, const struct place *place)
{
	loop->records_max = 1;
	loop->singles = 0;
	log_warning("careful_begun",
		    LOG_FIELDS(log_str("topic", place->topic), log_i64("partition", place->partition),
			       log_i64("starts", place->starts)),
		    "start %u at one offset of %s [%d]: one message at a time", place->starts, place->topic,
		    place->partition);
}

int stage_careful_begin(struct stage_loop *loop, struct place *place, struct err *err)
{
	const struct commit_ops *commit = &loop->stage->commit;
	const struct stage_position position = place_position(place);

	if (commit->started(commit->self, loop->consumer, &position, &place->starts, err))
		return -1;
	place->begun = true;
	place->moved = false;
	if (place->starts >= STARTS_CAREFUL)
		begin_careful(loop, place);
	return 0;
}

bool stage_careful_refuses(const struct place *place)
{
	return place->starts >= STARTS_REFUSED;
}

int stage_careful_refuse(struct stage_loop *loop, struct place *place, const struct kafka_message *m, struct err *err)
{
	const struct stage_ops *ops = &loop->stage->ops;
	struct err why = ERR_INIT;

	err_set(&why, ERR_RECORD,
		"crashed the stage: %u starts ended at %s [%d] offset %" PRId64 " without a result; it was not "
		"looked into again",
		place->starts - 1, m->topic, m->partition, m->offset);
	place->starts = STARTS_CAREFUL; /* for those behind it */
	metric_add(&worker_metrics[WORKER_REJECTED], 1);
	log_error("record_crashed_the_stage",
		  LOG_FIELDS(log_str("topic", m->topic), log_i64("partition", m->partition),
			     log_i64("offset", m->offset)),
		  "%s", why.text);
	return ops->reject(ops->self, m, STAGE_CRASHED, &why, err);
}

void stage_careful_take_back(struct stage_loop *loop)
{
	const struct commit_ops *commit = &loop->stage->commit;

	for (unsigned i = 0; i < loop->places.count; i++) {
		struct place *place = &loop->places.list[i];
		struct stage_position position = place_position(place);
		struct err ignored = ERR_INIT;

		if (place->begun && !place->moved &&
		    commit->unstarted(commit->self, loop->consumer, &position, &ignored))
			return; /* the next one fails for the same reason */
		place->begun = false;
	}
}
