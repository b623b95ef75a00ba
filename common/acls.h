#pragma once
/*
 * The table of rights (topics/acls.yaml, compiled in) as the broker sees it:
 * names carry topics.prefix, workers are the principals of acls.<worker>.
 */
#include "common/config.h"
#include "common/err.h"
#include "common/kafka_acls.h"
#include "common/topics.h"

struct acl {
	char *worker; /* "fetcher", "cli" */
	struct kafka_acl right;
};

struct acls;

/* cfg: acls.fetcher and so on, and topics.prefix. */
int acls_open(struct acls **ret, const struct config *cfg, struct err *err);
void acls_freep(struct acls **acls);
unsigned acls_count(const struct acls *acls);
const struct acl *acls_at(const struct acls *acls, unsigned index);

/* "--add --allow-principal User:x …" of Kafka's own kafka-acls.sh. Owned by the caller. */
char *acl_arguments(const struct acl *acl);

/*
 * Writes what is missing. *ret_left counts what this librdkafka cannot write:
 * reported with the arguments that do it elsewhere.
 */
int acls_apply(const struct acls *acls, const struct config *cfg, bool dry_run, topics_report_fn *report, void *self,
	       unsigned *ret_left, struct err *err);

/* Reports what is missing, and what these principals may beyond the table; *ret_differences counts both. */
int acls_check(const struct acls *acls, const struct config *cfg, topics_report_fn *report, void *self,
	       unsigned *ret_differences, struct err *err);
