#include "stages/fetcher/slot.h"

#include <string.h>

#include "common/fault.h"

#define CAREFUL_TRANSACTIONS 100 /* of one item; then twice as many items with each */
#define CAREFUL_ITEMS_MAX 4096   /* a task that came so far is like any other */

/* --- messages -------------------------------------------------------------------------------------------------------- */

struct kafka_message *slot_first(struct slot *slot)
{
	return slot->pending_count > 0 ? &slot->pending[slot->pending_first] : NULL;
}

static void drop_first(struct slot *slot)
{
	kafka_message_done(&slot->pending[slot->pending_first]);
	slot->pending_first = (slot->pending_first + 1) % SLOT_PENDING_MAX;
	slot->pending_count--;
}

static void drop_pending(struct slot *slot)
{
	while (slot->pending_count > 0)
		drop_first(slot);
	slot->full = false;
}

void slot_take(struct slot *slot, struct kafka_message *message)
{
	if (message->offset < slot->take_from || slot->full)
		return;
	if (slot->pending_count == SLOT_PENDING_MAX - 1) { /* the last place is for a task that is given up */
		slot->full = true;
		slot->left_at = message->offset;
		return;
	}
	slot->take_from = message->offset + 1;
	slot->pending[(slot->pending_first + slot->pending_count++) % SLOT_PENDING_MAX] = *message;
	message->handle = NULL;
}

static void put_first(struct slot *slot, struct kafka_message message)
{
	slot->pending_first = (slot->pending_first + SLOT_PENDING_MAX - 1) % SLOT_PENDING_MAX;
	slot->pending[slot->pending_first] = message;
	slot->pending_count++;
}

/* --- whose it is ----------------------------------------------------------------------------------------------------- */

static void end_job(struct slot *slot)
{
	job_freep(&slot->job);
	slot->items = 0;
	slot->careful_count = 0;
}

void slot_clear(struct slot *slot)
{
	end_job(slot);
	slot_park(slot);
}

void slot_park(struct slot *slot)
{
	drop_pending(slot);
	slot->take_from = slot->job ? job_message(slot->job)->offset + 1 : 0;
	slot->assigned = slot->known = false;
	slot->count_start = slot->tell_attempt = slot->said = false;
}

void slot_give_up(struct slot *slot)
{
	if (slot->job)
		put_first(slot, job_return(&slot->job));
	end_job(slot);
}

static struct cursor cursor_of(const char *metadata)
{
	struct cursor cursor;

	if (fault_defect("cursor_ignored") || !metadata || !cursor_parse(metadata, &cursor))
		cursor = (struct cursor){ .attempt = 0 };
	return cursor;
}

bool slot_is_as_left(const struct slot *slot, int64_t offset, const char *metadata)
{
	const struct cursor cursor = cursor_of(metadata);

	return slot->committed.offset == offset && slot->committed.cursor.starts == cursor.starts &&
	       cursor_same(&slot->committed.cursor, &cursor);
}

bool slot_learn(struct slot *slot, int64_t offset, const char *metadata)
{
	bool given_up = slot->job && !slot_is_as_left(slot, offset, metadata);

	slot->known = true;
	if (slot->job && !given_up)
		return false;
	slot_give_up(slot);
	while (slot->pending_count > 0 && slot_first(slot)->offset < offset)
		drop_first(slot);
	slot->committed = (struct slot_place){ .offset = offset, .cursor = cursor_of(metadata) };
	return given_up;
}

/* --- starts ---------------------------------------------------------------------------------------------------------- */

/* Offset of the task at work or next; there is one. */
static int64_t task_offset(struct slot *slot)
{
	return slot->job ? job_message(slot->job)->offset : slot_first(slot)->offset;
}

/* What is committed for that task. */
static struct slot_place task_place(struct slot *slot)
{
	int64_t offset = task_offset(slot);

	if (slot->committed.offset == offset)
		return slot->committed;
	return (struct slot_place){ .offset = offset };
}

bool slot_is_new(struct slot *slot)
{
	return !task_place(slot).begun && slot_starts(slot) < SLOT_STARTS_MAX;
}

int64_t slot_starts(struct slot *slot)
{
	const struct slot_place place = task_place(slot);

	return place.cursor.starts - place.counted;
}

bool slot_is_careful(struct slot *slot)
{
	if (slot->job)
		return slot->items > 0;
	return slot->pending_count > 0 && slot_starts(slot) >= SLOT_STARTS_CAREFUL;
}

void slot_begin(struct slot *slot, const struct job_outputs *outputs)
{
	struct kafka_message *message = slot_first(slot);
	const struct slot_place place = task_place(slot);
	int64_t starts = slot_starts(slot);

	if (starts >= SLOT_STARTS_MAX) {
		slot->job = job_new_crashed(outputs, message, &place.cursor);
	} else {
		slot->job = job_new(outputs, message, &place.cursor);
		slot->items = starts >= SLOT_STARTS_CAREFUL ? 1 : 0;
		slot->tell_attempt = starts > 0 && place.cursor.attempt != job_cursor(slot->job)->attempt;
	}
	drop_first(slot);
}

/* --- committing ------------------------------------------------------------------------------------------------------ */

bool slot_moved(const struct slot *slot)
{
	const struct cursor *now = slot->job ? job_cursor(slot->job) : NULL, *then = &slot->committed.cursor;

	return now && (job_state(slot->job) != JOB_RUNNING || now->fetched != then->fetched ||
		       now->skipped != then->skipped || strcmp(now->resume, then->resume) != 0);
}

/* The task is over: the start of the next one, if it waits already, needs no transaction of its own. */
static void say_end(struct slot *slot, bool leaving)
{
	const struct kafka_message *following = leaving ? NULL : slot_first(slot);

	if (following)
		slot->next = (struct slot_place){ following->offset, { .starts = 1 }, true, true };
	else
		slot->next = (struct slot_place){ .offset = task_offset(slot) + 1 };
}

static void say_progress(struct slot *slot)
{
	slot->next = (struct slot_place){ task_offset(slot), *job_cursor(slot->job), true, false };
	slot->next.cursor.starts = slot->items > 0 ? SLOT_STARTS_CAREFUL : 0;
}

/* Whose the attempt is, and that it was begun. */
static void say_attempt(struct slot *slot)
{
	int64_t starts = slot->next.cursor.starts;

	slot->next.cursor = *job_cursor(slot->job);
	slot->next.cursor.starts = starts;
}

/* What is taken back: the start. Not that a vendor was called, which whoever goes on could not know. */
static bool say_leaving(struct slot *slot)
{
	bool counted = slot->next.counted, called = slot->job && job_has_called(slot->job);

	if (counted) {
		slot->next.cursor.starts--;
		slot->next.begun = slot->next.counted = false;
	}
	if (called)
		say_attempt(slot);
	return counted || called;
}

/* Nothing of the task was done since the last transaction: its starts are all that may change, and whose it is. */
static bool say_start(struct slot *slot, bool leaving)
{
	slot->next = task_place(slot);
	if (leaving)
		return say_leaving(slot);
	if (!slot->count_start && !slot->tell_attempt)
		return false;
	if (slot->tell_attempt)
		say_attempt(slot);
	if (slot->count_start) {
		slot->next.cursor.starts++;
		slot->next.begun = slot->next.counted = true;
	}
	return true;
}

bool slot_say(struct slot *slot, bool leaving)
{
	slot->said = false;
	if (!slot->assigned || !slot->known || (!slot->job && slot->pending_count == 0))
		return false;
	slot->said = true;
	if (!slot_moved(slot))
		slot->said = say_start(slot, leaving);
	else if (job_state(slot->job) != JOB_RUNNING)
		say_end(slot, leaving);
	else
		say_progress(slot);
	return slot->said;
}

static bool is_blank(const struct cursor *cursor)
{
	return cursor->attempt == 0 && cursor->starts == 0;
}

struct kafka_offset slot_offset(struct slot *slot)
{
	slot->text[0] = '\0';
	if (!is_blank(&slot->next.cursor))
		cursor_format(&slot->next.cursor, slot->text);
	return (struct kafka_offset){ slot->topic, slot->partition, slot->next.offset, slot->text };
}

static void grow(struct slot *slot)
{
	if (slot->items == 0 || ++slot->careful_count < CAREFUL_TRANSACTIONS)
		return;
	slot->items = slot->items * 2 > CAREFUL_ITEMS_MAX ? 0 : slot->items * 2;
}

bool slot_ends(const struct slot *slot)
{
	return slot->said && slot->job && job_state(slot->job) != JOB_RUNNING;
}

void slot_committed(struct slot *slot)
{
	bool moved = slot_moved(slot), ends = slot_ends(slot);

	if (!slot->said)
		return;
	slot->committed = slot->next;
	slot->said = slot->count_start = slot->tell_attempt = false;
	if (moved)
		grow(slot);
	if (ends)
		end_job(slot);
}
