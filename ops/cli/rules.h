#pragma once
/* Rule sets as the commands `rules …` take them: from a file, or as they are installed here. */
#include <jansson.h>

#include "common/config.h"
#include "common/data_types.h"
#include "stages/validator/rules.h"

struct rules {
	struct ruleset *set;
	const struct record_type *type;
	char *place; /* the file's path, or "built in" */
};

#define RULES_INIT \
	{ \
		.set = NULL \
	}

void rules_release(struct rules *rules);

/* 0, or the exit code, after a word to the user: a file that is no rule file is the answer "no". */
int rules_open(struct rules *ret, const char *command, const char *path);

/* What a validator with this configuration (validator_config) judges such records by. */
int rules_open_installed(struct rules *ret, const char *command, const struct config *cfg,
			 const struct record_type *type);

/* {"version", "number", "place"} */
json_t *rules_source(const struct rules *rules);

/* A condition or text without its folds; what is quoted keeps its spaces. Owned by the caller. */
char *rules_one_line(const char *text);
