#pragma once
/*
 * The rule sets that judge now, of all record types, and how others take
 * their place while the validator runs: all of them, or, where one does not
 * compile, none.
 */
#include "common/data_types.h"
#include "common/http_server.h"
#include "common/metrics.h"
#include "stages/validator/rules.h"

struct installed;

/* From main(), before anything else: SIGHUP asks for another look at the files, and does not end the process. */
void installed_watch(void);

int installed_open(struct installed **ret, const char *folder, struct err *err);
void installed_freep(struct installed **installed);

/* Borrowed, until installed_look() says that it is another one. */
const struct ruleset *installed_set(const struct installed *installed, enum data_type_id type);

/* What came of a look at the files. */
enum installed_outcome { INSTALLED_NOT_ASKED, INSTALLED_OTHERS, INSTALLED_SAME, INSTALLED_REFUSED };

/*
 * Mostly one look at a flag. Where SIGHUP came, the files are read again; bit i of *ret_changed: record type i has
 * another set now. What is wrong with them goes into the log, and the sets stay.
 */
enum installed_outcome installed_look(struct installed *installed, unsigned *ret_changed);

/* GET /rules: what is installed, since when, and what was refused last. Any thread; as worker_spec.handler takes it. */
void installed_serve(void *unused, const struct http_request *request, struct http_response *response);

/* Which set judges each record type: a row of 1; those before have 0. */
extern struct metric_family installed_sets;
