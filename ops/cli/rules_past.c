#include "ops/cli/rules_past.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/kafka_admin.h"
#include "common/mem.h"
#include "common/thread.h"

#define THREADS_MAX 16
#define STRETCHES_MAX 16 /* of one partition, for a sample: each is a client of its own */
#define STRETCH_MIN 500  /* records: less costs as much */

/* --- ranges ------------------------------------------------------------------------------------------------------------- */

static int find_partitions(struct past_ranges *ranges, struct kafka_admin *admin, struct err *err)
{
	int32_t partitions;

	if (kafka_admin_partitions(admin, ranges->topic, &partitions, err))
		return -1;
	if (partitions == 0)
		return err_set(err, ERR_FATAL, "topic %s does not exist; `penstock topics apply` creates it",
			       ranges->topic);
	if (partitions > PAST_PARTITIONS_MAX)
		return err_set(err, ERR_FATAL, "topic %s has more than %d partitions", ranges->topic,
			       PAST_PARTITIONS_MAX);
	ranges->count = (unsigned)partitions;
	return 0;
}

int past_ranges_find(struct past_ranges *ret, const struct config *cfg, const char *topic, int64_t since_ns,
		     struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = NULL;
	CLEANUP(freep) struct kafka_offset *ends = mem_zalloc(PAST_PARTITIONS_MAX, sizeof(*ends)), *begins = NULL;

	*ret = (struct past_ranges){ .topic = topic };
	if (kafka_admin_open(&admin, cfg, err) || find_partitions(ret, admin, err))
		return -1;
	begins = mem_zalloc(ret->count, sizeof(*begins));
	for (unsigned i = 0; i < ret->count; i++)
		begins[i] = ends[i] = (struct kafka_offset){ topic, (int32_t)i, KAFKA_OFFSET_NONE, NULL };
	if (kafka_admin_edges(admin, KAFKA_STABLE, ends, ret->count, err))
		return -1;
	if (since_ns == PAST_FROM_BEGINNING
		    ? kafka_admin_edges(admin, KAFKA_LOW, begins, ret->count, err)
		    : kafka_admin_offsets_since(admin, since_ns / NS_PER_MS, begins, ret->count, err))
		return -1;
	for (unsigned i = 0; i < ret->count; i++) {
		struct kafka_range *range = &ret->list[i];

		*range = (struct kafka_range){ topic, (int32_t)i, begins[i].offset, ends[i].offset };
		if (range->from == KAFKA_OFFSET_NONE || range->from > range->to)
			range->from = range->to;
		ret->entries += range->to - range->from;
	}
	return 0;
}

/* --- all of it ---------------------------------------------------------------------------------------------------------- */

/* One thread's share of the partitions. */
struct reader {
	const struct config *cfg;
	struct kafka_range *ranges;
	unsigned count;
	int64_t entries;
	struct fate_tally tally;
	atomic_bool *stop;
	struct err err;
	pthread_t thread;
};

static bool take(void *self, const struct kafka_message *message)
{
	struct reader *reader = self;

	fate_tally_take(&reader->tally, message);
	return !atomic_load_explicit(reader->stop, memory_order_relaxed);
}

static void *run(void *self)
{
	struct reader *reader = self;

	if (kafka_past_read(reader->cfg, reader->ranges, reader->count, take, reader, &reader->err))
		atomic_store(reader->stop, true); /* what the others would find is no answer either */
	return NULL;
}

static int by_entries(const void *a, const void *b)
{
	const struct kafka_range *x = a, *y = b;
	int64_t n = x->to - x->from, m = y->to - y->from;

	return (n < m) - (n > m);
}

/* The largest first, each to whoever has the least. */
static void share_out(struct reader *readers, unsigned threads, const struct past_ranges *ranges)
{
	CLEANUP(freep) struct kafka_range *sorted = mem_alloc(ranges->count * sizeof(*sorted));

	memcpy(sorted, ranges->list, ranges->count * sizeof(*sorted));
	qsort(sorted, ranges->count, sizeof(*sorted), by_entries);
	for (unsigned i = 0; i < ranges->count; i++) {
		struct reader *least = &readers[0];

		for (unsigned k = 1; k < threads; k++)
			if (readers[k].entries < least->entries)
				least = &readers[k];
		least->ranges[least->count++] = sorted[i];
		least->entries += sorted[i].to - sorted[i].from;
	}
}

static unsigned count_threads(const struct past_ranges *ranges)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned filled = 0, most = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;

	for (unsigned i = 0; i < ranges->count; i++)
		filled += ranges->list[i].from < ranges->list[i].to;
	return filled < 1 ? 1 : filled < most ? filled : most;
}

/* How many began; the others' share is not read. */
static unsigned begin(struct reader *readers, unsigned threads, struct err *err)
{
	for (unsigned i = 0; i < threads; i++)
		if (thread_start(&readers[i].thread, run, &readers[i], "reading", err)) {
			atomic_store(readers[i].stop, true);
			return i;
		}
	return threads;
}

int past_read_all(struct fate_tally *tally, const struct past_ranges *ranges, const struct config *cfg, struct err *err)
{
	unsigned threads = count_threads(ranges), begun;
	CLEANUP(freep) struct reader *readers = mem_zalloc(threads, sizeof(*readers));
	CLEANUP(freep) struct kafka_range *shares = mem_zalloc((size_t)threads * ranges->count, sizeof(*shares));
	atomic_bool stop = false;

	for (unsigned i = 0; i < threads; i++) {
		readers[i] = (struct reader){ .cfg = cfg, .ranges = shares + (size_t)i * ranges->count, .stop = &stop };
		fate_tally_open(&readers[i].tally, tally->schema, tally->today, tally->candidate);
	}
	share_out(readers, threads, ranges);
	begun = begin(readers, threads, err);
	for (unsigned i = 0; i < begun; i++)
		pthread_join(readers[i].thread, NULL);
	for (unsigned i = 0; i < threads; i++) {
		if (readers[i].err.kind != ERR_OK && err->kind == ERR_OK)
			*err = readers[i].err;
		fate_tally_add(tally, &readers[i].tally);
		fate_tally_release(&readers[i].tally);
	}
	return err->kind == ERR_OK ? 0 : -1;
}

/* --- a sample ----------------------------------------------------------------------------------------------------------- */

/* One partition's part of the sample. */
struct sampling {
	unsigned stretches;
	int64_t length; /* of each */
};

static struct sampling sampling_of(const struct kafka_range *range, const struct past_ranges *all, int64_t records)
{
	int64_t entries = range->to - range->from;
	int64_t share = (int64_t)((double)records * (double)entries / (double)all->entries + 0.5);
	struct sampling s = { .stretches = 1 };

	if (share < 1 && entries > 0)
		share = 1;
	if (share / STRETCH_MIN > 1)
		s.stretches = (unsigned)(share / STRETCH_MIN < STRETCHES_MAX ? share / STRETCH_MIN : STRETCHES_MAX);
	s.length = share / s.stretches;
	return s;
}

/* The n-th stretch: anywhere in the n-th part of the partition. */
static struct kafka_range stretch_of(const struct kafka_range *range, struct sampling s, unsigned n)
{
	int64_t part = (range->to - range->from) / s.stretches, room = part - s.length;
	struct kafka_range out = *range;

	out.from += (int64_t)n * part + (room > 0 ? random() % (room + 1) : 0);
	out.to = n < s.stretches && out.from + s.length < range->to ? out.from + s.length : range->to;
	if (n >= s.stretches)
		out.from = out.to;
	return out;
}

static bool take_one(void *self, const struct kafka_message *message)
{
	fate_tally_take(self, message);
	return true;
}

int past_read_some(struct fate_tally *tally, const struct past_ranges *ranges, int64_t records,
		   const struct config *cfg, struct err *err)
{
	CLEANUP(freep) struct kafka_range *round = mem_zalloc(ranges->count, sizeof(*round));
	unsigned rounds = 1;

	srandom((unsigned)clock_now_ns());
	for (unsigned n = 0; n < rounds; n++) {
		for (unsigned i = 0; i < ranges->count; i++) {
			struct sampling s = sampling_of(&ranges->list[i], ranges, records);

			round[i] = stretch_of(&ranges->list[i], s, n);
			rounds = s.stretches > rounds ? s.stretches : rounds;
		}
		if (kafka_past_read(cfg, round, ranges->count, take_one, tally, err))
			return -1;
	}
	return 0;
}
