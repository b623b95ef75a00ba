/* offsets skip */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "ops/cli/offsets.h"

#define COMMAND "offsets skip"

/* What was asked for, and what it comes to. */
struct skip {
	const char *group, *topic, *partition; /* as given */
	const char *to;                        /* NULL: where the partition begins */
	const char *why;
	bool dry_run;
	const struct position *place;
	int64_t from, target;
	char *who;
	bool usage_error; /* what is wrong is an argument */
};

static void skip_release(struct skip *skip)
{
	free(skip->who);
}

/* --- which place ------------------------------------------------------------------------------------------------------- */

/* "etl.dlq" is "<prefix>etl.dlq" too. */
static bool names(const char *given, const char *full, const char *prefix)
{
	return strcmp(given, full) == 0 ||
	       (strncmp(full, prefix, strlen(prefix)) == 0 && strcmp(given, full + strlen(prefix)) == 0);
}

static int unknown_group(const struct positions *positions, const char *group)
{
	const char *last = "";

	fprintf(stderr, "penstock " COMMAND ": there is no group '%s'; there are", group);
	for (unsigned i = 0; i < positions->count; i++)
		if (strcmp(positions->items[i].group, last) != 0)
			fprintf(stderr, " %s", last = positions->items[i].group);
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

/* 0, or the exit code: said what is wrong. */
static int find_place(const struct offsets_view *view, struct skip *skip)
{
	const char *prefix = config_text(view->cfg, "topics.prefix");
	bool group_known = false, topic_known = false;
	int64_t partition = -1;

	if (!cli_number(COMMAND, "PARTITION", skip->partition, &partition))
		return EXIT_USAGE;
	for (unsigned i = 0; i < view->positions.count; i++) {
		const struct position *p = &view->positions.items[i];

		if (!names(skip->group, p->group, prefix))
			continue;
		group_known = true;
		if (!names(skip->topic, p->topic->name, prefix))
			continue;
		topic_known = true;
		if (p->partition == partition)
			skip->place = p;
	}
	if (!group_known)
		return unknown_group(&view->positions, skip->group);
	if (!topic_known)
		return fprintf(stderr, "penstock " COMMAND ": group %s does not read '%s'\n", skip->group, skip->topic),
		       EXIT_USAGE;
	if (!skip->place)
		return fprintf(stderr, "penstock " COMMAND ": %s has no partition %s\n", skip->topic, skip->partition),
		       EXIT_USAGE;
	return 0;
}

/* --- whereto ----------------------------------------------------------------------------------------------------------- */

/*
 * Behind what is missing. Where the log is another one than was read, what is
 * missing is not known: the position stays, and what it may have missed is
 * fetched again.
 */
static int64_t default_target(const struct position *p)
{
	return position_state(p) == POSITION_STOPPED && p->next >= p->low && p->next <= p->high ? p->next : p->low;
}

static int parse_target(struct skip *skip, struct err *err)
{
	const struct position *p = skip->place;
	char *end;

	if (!skip->to)
		return skip->target = default_target(p), 0;
	if (strcmp(skip->to, "earliest") == 0)
		return skip->target = p->low, 0;
	if (strcmp(skip->to, "latest") == 0)
		return skip->target = p->high, 0;
	errno = 0;
	skip->target = strtoll(skip->to, &end, 10);
	if (skip->to[0] < '0' || skip->to[0] > '9' || *end || errno)
		return err_set(err, ERR_FATAL, "--to takes an offset, earliest or latest, not '%s'", skip->to);
	if (skip->target < p->low || skip->target > p->high)
		return err_set(err, ERR_FATAL, "--to %s: the partition holds offsets %" PRId64 " to %" PRId64, skip->to,
			       p->low, p->high);
	return 0;
}

/* Reading records a second time would account for them twice: only where the log is not the one that was read. */
static int judge(const struct skip *skip, struct err *err)
{
	const struct position *p = skip->place;
	enum position_state state = position_state(p);

	if (state == POSITION_MISSING)
		return err_set(err, ERR_RECORD,
			       "%s has no partition %d on the broker; `penstock topics apply` makes it", p->topic->name,
			       p->partition);
	if (state == POSITION_OK && !skip->to)
		return err_set(err, ERR_RECORD,
			       "nothing is wrong with %s at %s [%d]: offset %" PRId64 " is next and there; --to OFFSET"
			       " skips records that could be read",
			       p->group, p->topic->name, p->partition, p->next);
	if ((state == POSITION_OK || state == POSITION_GAP) && skip->target < p->next)
		return err_set(err, ERR_RECORD, "%" PRId64 " is behind it already: offset %" PRId64 " is next",
			       skip->target, p->next);
	return 0;
}

/* --- moving ------------------------------------------------------------------------------------------------------------ */

static char *who_am_i(void)
{
	const struct passwd *user = getpwuid(geteuid());
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return user ? mem_printf("%s@%s", user->pw_name, host) : mem_printf("%u@%s", geteuid(), host);
}

static int book(struct pg *pg, const struct skip *skip, char id[PG_INT_MAX], struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char partition[PG_INT_MAX], from[PG_INT_MAX], to[PG_INT_MAX];

	if (pg_query(pg,
		     "INSERT INTO etl.expired (consumer_group, topic, partition, from_offset, to_offset, why, who)"
		     " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
		     PG_PARAMS(skip->place->group, skip->place->topic->name,
			       pg_int_text(skip->place->partition, partition), pg_int_text(skip->from, from),
			       pg_int_text(skip->target, to), skip->why, skip->who),
		     &r, err))
		return -1;
	pg_int_text(pg_int(r, 0, 0), id);
	return 0;
}

/* The epoch is the loader's; the orchestrator's is that of its leader and stays. */
static const char move_sql[] =
	"INSERT INTO etl.offsets AS o (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset,"
	" epoch = o.epoch + CASE WHEN $6 = 'etl.events' THEN 0 ELSE 1 END, last_offset = NULL,"
	" last_timestamp_ms = NULL, last_crc = NULL, stopped = '', starts = 0, updated_at = now()"
	" WHERE o.next_offset = $5";

/* Offset and booking together; compared with what was shown, as its owner may have moved meanwhile. */
static int move_in_database(struct pg *pg, const struct skip *skip, struct err *err)
{
	CLEANUP(pg_result_freep) struct pg_result *r = NULL;
	char partition[PG_INT_MAX], from[PG_INT_MAX], to[PG_INT_MAX], id[PG_INT_MAX];

	if (pg_begin(pg, err) ||
	    pg_query(pg, move_sql,
		     PG_PARAMS(skip->place->group, skip->place->topic->name,
			       pg_int_text(skip->place->partition, partition), pg_int_text(skip->target, to),
			       pg_int_text(skip->place->next, from), skip->place->topic->base),
		     &r, err))
		return -1;
	if (pg_affected(r) != 1)
		return err_set(err, ERR_RETRY, "%s at %s [%d] has moved meanwhile; nothing is changed",
			       skip->place->group, skip->place->topic->name, skip->place->partition);
	return book(pg, skip, id, err) || pg_commit(pg, err) ? -1 : 0;
}

static int refuse_members(struct kafka_admin *admin, const char *group, struct err *err)
{
	unsigned members;

	if (kafka_admin_members(admin, group, &members, err))
		return -1;
	if (members > 0)
		return err_set(err, ERR_RECORD,
			       "group %s has %u member%s: Kafka moves only the offsets of a group without any; stop all"
			       " its workers first",
			       group, members, members == 1 ? "" : "s");
	return 0;
}

/* Booked first: an end between the two leaves a booking too many, which is harmless, and never one too few. */
static int move_in_kafka(struct offsets_view *view, const struct skip *skip, struct err *err)
{
	const struct kafka_offset offset = { skip->place->topic->name, skip->place->partition, skip->target, NULL };
	struct err ignored = ERR_INIT;
	char id[PG_INT_MAX];

	if (refuse_members(view->admin, skip->place->group, err) || book(view->pg, skip, id, err))
		return -1;
	if (kafka_admin_set_offsets(view->admin, skip->place->group, &offset, 1, err) == 0)
		return 0;
	pg_query(view->pg, "DELETE FROM etl.expired WHERE id = $1", PG_PARAMS(id), NULL, &ignored);
	return -1;
}

static void report(const struct skip *skip)
{
	const struct position *p = skip->place;

	printf("%s at %s [%d]: %s from %" PRId64 " to %" PRId64, p->group, p->topic->name, p->partition,
	       skip->dry_run ? "would go" : "goes on", skip->from, skip->target);
	if (skip->target > skip->from)
		printf("; %" PRId64 " offsets expire, and attempts that miss records of theirs are fetched again",
		       skip->target - skip->from);
	printf("\n");
}

static int skip_records(struct offsets_view *view, struct skip *skip, struct err *err)
{
	if (offsets_view_read(view, err))
		return -1;
	skip->usage_error = position_state(skip->place) != POSITION_MISSING && parse_target(skip, err) != 0;
	if (skip->usage_error)
		return -1;
	skip->from = skip->place->next == KAFKA_OFFSET_NONE ? 0 : skip->place->next;
	if (judge(skip, err))
		return -1;
	skip->who = who_am_i();
	if (!skip->dry_run &&
	    (skip->place->in_database ? move_in_database(view->pg, skip, err) : move_in_kafka(view, skip, err)))
		return -1;
	report(skip);
	return 0;
}

/* 0, or the exit code: said what is wrong. */
static int read_arguments(struct offsets_view *view, struct skip *skip, int argc, char **argv)
{
	struct err err = ERR_INIT;

	skip->dry_run = cli_flag(&argc, argv, "--dry-run");
	skip->to = cli_option(&argc, argv, "--to");
	skip->why = cli_option(&argc, argv, "--why");
	if (cli_config(&view->cfg, &argc, argv, &err))
		return cli_fail(COMMAND, &err), EXIT_USAGE;
	if (cli_leftover(COMMAND, argc, argv, 3))
		return EXIT_USAGE;
	if (argc < 3)
		return fprintf(stderr, "penstock " COMMAND ": GROUP, TOPIC and PARTITION are needed; `penstock offsets"
				       " ls` shows them\n"),
		       EXIT_USAGE;
	if (!skip->why || skip->why[strspn(skip->why, " \t\n")] == '\0')
		return fprintf(stderr, "penstock " COMMAND ": --why TEXT is needed: it is kept in etl.expired\n"),
		       EXIT_USAGE;
	skip->group = argv[0];
	skip->topic = argv[1];
	skip->partition = argv[2];
	return 0;
}

int command_offsets_skip(int argc, char **argv)
{
	CLEANUP(offsets_view_release) struct offsets_view view = { .positions = POSITIONS_INIT };
	CLEANUP(skip_release) struct skip skip = { 0 };
	struct err err = ERR_INIT;
	int code = read_arguments(&view, &skip, argc, argv);

	if (code)
		return code;
	if (offsets_view_list(&view, &err))
		return cli_fail(COMMAND, &err);
	code = find_place(&view, &skip);
	if (code)
		return code;
	if (skip_records(&view, &skip, &err) == 0)
		return EXIT_OK;
	code = cli_fail(COMMAND, &err);
	return skip.usage_error ? EXIT_USAGE : code;
}
