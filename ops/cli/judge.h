#pragma once
/*
 * Judges a letter's record again, as validator and transformer would now: the
 * rules that the configuration has, or one type's of a file, and then what makes
 * a row of it.
 */
#include <jansson.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/data_types.h"
#include "stages/transformer/transform.h"
#include "stages/validator/rule_files.h"

struct judge {
	struct ruleset *rules[DATA_TYPES];
	struct transform *transform;
	void *raw, *clean; /* of any type */
	struct buf names, text;
};

/* file: NULL, or rules that stand in for the configured ones of their type. ERR_FATAL "file:line:column: …". */
int judge_open(struct judge *judge, const struct config *validator, const char *file, struct err *err);
void judge_release(struct judge *judge);

enum judge_verdict { JUDGE_PASSES, JUDGE_FAILS, JUDGE_CANNOT };

/*
 * letter: as the API lists it. FAILS: names has the violated rules, separated by commas, or what else it fails by; text
 * why. CANNOT: what another stage refused, which only that one can tell.
 */
enum judge_verdict judge_letter(struct judge *judge, const json_t *letter, int64_t now_ns);
