#pragma once
/* Rule sets from where they are kept: compiled in, in a folder of the user's, or in any file. */
#include "common/data_types.h"
#include "stages/validator/rules.h"

/*
 * The set of a record type: FOLDER/<type>.yaml where there is such a file,
 * else the one that is compiled in. An empty folder's name: none.
 */
int rule_file_open(struct ruleset **ret, const char *folder, const struct data_type *type, struct err *err);

/* Where that set is: the file's path, or "built in". Owned by the caller. */
char *rule_file_place(const char *folder, const struct data_type *type);

/* Any rule file; its `record` says of which type it is. ERR_FATAL "file:line:column: …". */
int rule_file_read(struct ruleset **ret, const char *path, const struct record_type **ret_type, struct err *err);

/* Compiles the sets of all types, and tells the first error; a file in the folder that is no type's is one. */
int rule_files_check(const char *folder, struct err *err);
/* Only the latter. */
int rule_files_check_names(const char *folder, struct err *err);
