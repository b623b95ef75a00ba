#include "common/kafka_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/kafka_oauth.h"
#include "common/kafka_trouble.h"
#include "common/log.h"
#include "common/mem.h"

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
	char text[KAFKA_ERRSTR];

	if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
		return err_set(err, ERR_FATAL, "kafka.%s: %s", name, text);
	return 0;
}

static int set_all(rd_kafka_conf_t *conf, const struct kafka_property *list, struct err *err)
{
	for (; list && list->name; list++)
		if (set(conf, list->name, list->value, err))
			return -1;
	return 0;
}

/* --- whose a property is --------------------------------------------------------------------------------------------- */

/* The library's own table of its properties, one a line: "linger.ms | P | …"; P producers', C consumers', * both's. */
static char *describe_properties(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return mem_strdup("");
	rd_kafka_conf_properties_show(out);
	fclose(out);
	return text;
}

/* The other kind's clients would say at every start that they ignore it. What the table does not tell is everybody's. */
static bool is_for(rd_kafka_type_t type, const char *properties, const char *name)
{
	const char others = type == RD_KAFKA_PRODUCER ? 'C' : 'P';
	size_t n = strlen(name);

	for (const char *line = properties; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ' ') {
			line += n + strspn(line + n, " |");
			return line[0] != others || line[1] != ' ';
		}
	}
	return true;
}

struct filtered {
	rd_kafka_conf_t *conf;
	rd_kafka_type_t type;
	const char *properties;
};

static int set_filtered(void *self, const char *key, const char *value, struct err *err)
{
	const struct filtered *filtered = self;

	return is_for(filtered->type, filtered->properties, key) ? set(filtered->conf, key, value, err) : 0;
}

static int set_user(rd_kafka_conf_t *conf, rd_kafka_type_t type, const struct config *cfg, struct err *err)
{
	CLEANUP(freep) char *properties = describe_properties();
	struct filtered filtered = { conf, type, properties };

	return config_map(cfg, "kafka", set_filtered, &filtered, err);
}

static int set_any(void *self, const char *key, const char *value, struct err *err)
{
	return set(self, key, value, err);
}

int kafka_check(const struct config *cfg, struct err *err)
{
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = rd_kafka_conf_new();

	return config_map(cfg, "kafka", set_any, conf, err) || kafka_oauth_check(conf, cfg, err) ? -1 : 0;
}

/* --- clients --------------------------------------------------------------------------------------------------------- */

/* The library's own lines: connection troubles are worth a warning, the rest is for debugging. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
	(void)client;
	if (strcmp(facility, "FAIL") == 0 && level < 7) /* 7: what is said again there */
		kafka_trouble_log(text);
	else if (strcmp(facility, "APIVERSION") == 0)
		kafka_reach_hear(text);
	log_write(level <= 4 ? LOG_WARNING : LOG_DEBUG, "kafka_client", LOG_FIELDS(log_str("facility", facility)), "%s",
		  text);
}

static const struct kafka_property common_defaults[] = {
	{ "bootstrap.servers", "127.0.0.1:9092" },
	{ "socket.nagle.disable", "true" },
	{ "reconnect.backoff.max.ms", "2000" },
	{ "log.connection.close", "false" },
	{ 0 },
};

int kafka_conf_new(rd_kafka_conf_t **ret, rd_kafka_type_t type, const struct config *cfg,
		   const struct kafka_property *defaults, const struct kafka_property *fixed, struct err *err)
{
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(conf, on_log);
	if (set_all(conf, common_defaults, err) || set_all(conf, defaults, err) || set_user(conf, type, cfg, err) ||
	    set_all(conf, fixed, err) || kafka_oauth_set(conf, cfg, err))
		return -1;
	*ret = STEAL(conf);
	return 0;
}

int kafka_new(rd_kafka_t **ret, rd_kafka_type_t type, rd_kafka_conf_t **conf, struct err *err)
{
	CLEANUP(kafka_client_freep) rd_kafka_t *rk = NULL;
	char text[KAFKA_ERRSTR];

	rk = rd_kafka_new(type, *conf, text, sizeof(text));
	if (!rk)
		return err_set(err, ERR_FATAL, "kafka: %s", text);
	*conf = NULL; /* the client owns it now */
	if (kafka_oauth_attach(rk, err))
		return -1;
	*ret = STEAL(rk);
	return 0;
}

void kafka_conf_freep(rd_kafka_conf_t **conf)
{
	if (*conf)
		rd_kafka_conf_destroy(*conf);
	*conf = NULL;
}

int kafka_client_new(rd_kafka_t **ret, const struct config *cfg, const char *isolation, struct err *err)
{
	const struct kafka_property fixed[] = {
		/* What "the end of a partition" means is a consumer's setting: the last entry, not the last that is committed. */
		{ "isolation.level", isolation },
		/*
		 * Nothing is read or committed under it. Without one, librdkafka 2.0.2 crashes where it asks for a group's
		 * offsets while the group's coordinator is coming up (librdkafka issue 5040).
		 */
		{ "group.id", "penstock.admin" },
		{ "log.connection.close", "true" }, /* not for the log: a port that hangs up is only told there */
		{ 0 },
	};
	CLEANUP(kafka_conf_freep) rd_kafka_conf_t *conf = NULL;

	return kafka_conf_new(&conf, RD_KAFKA_CONSUMER, cfg, NULL, fixed, err) ||
			       kafka_new(ret, RD_KAFKA_CONSUMER, &conf, err)
		       ? -1
		       : 0;
}

void kafka_client_freep(rd_kafka_t **client)
{
	if (*client)
		rd_kafka_destroy(*client);
	*client = NULL;
}

/* --- errors ---------------------------------------------------------------------------------------------------------- */

#define DENIED "; this user may not: `penstock acls check` tells what is missing"

static bool is_denied(rd_kafka_resp_err_t e)
{
	switch (e) {
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
		return true;
	default:
		return false;
	}
}

/* Of the connection, not of what was asked. */
static bool is_unreached(rd_kafka_resp_err_t e)
{
	switch (e) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__RESOLVE:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		return true;
	default:
		return false;
	}
}

int kafka_fail_as(struct err *err, rd_kafka_resp_err_t e, const char *what, const char *why)
{
	bool final = is_denied(e) || e == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;

	err_set(err, final ? ERR_FATAL : ERR_RETRY, "kafka: %s: %s%s", what, why, is_denied(e) ? DENIED : "");
	return is_unreached(e) ? kafka_trouble_explain(what, err) : -1;
}

int kafka_fail(struct err *err, rd_kafka_resp_err_t e, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return kafka_fail_as(err, e, what, rd_kafka_err2str(e));
}

/*
 * Kafka's own verdicts: what must be aborted and what may be tried again are
 * RETRY; a fatal error means a new client, so it is RETRY for the process:
 * exit, and start again.
 */
int kafka_take_error(rd_kafka_error_t *error, const char *what, struct err *err)
{
	if (!error)
		return 0;
	kafka_fail_as(err, rd_kafka_error_code(error), what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	return -1;
}
