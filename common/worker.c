#include "common/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/notify.h"
#include "common/registry_remote.h"
#include "common/worker_status.h"

#define SLOTS_MAX 256
#define REGISTRY_BACKOFF_MS 200
#define REGISTRY_BACKOFF_MAX_MS 5000
#define STOP_SECONDS_MAX 10         /* after SIGTERM, whatever the broker does */
#define STARTING_STOP_SECONDS_MAX 2 /* the same for a worker that has not begun: it holds nothing */
#define MISSING_MAX 1024            /* bytes of what is missing, all of it */

struct metric worker_metrics[WORKER_METRICS] = {
	[WORKER_RECORDS] = { "penstock_records_total", NULL, METRIC_COUNTER, "Messages handled and committed.", 0 },
	[WORKER_BYTES] = { "penstock_input_bytes_total", NULL, METRIC_COUNTER,
			   "Bytes (key and value) of the messages handled and committed.", 0 },
	[WORKER_REJECTED] = { "penstock_rejected_total", NULL, METRIC_COUNTER, "Messages sent to the dead letters.",
			      0 },
	[WORKER_BATCHES] = { "penstock_batches_total", NULL, METRIC_COUNTER, "Batches committed.", 0 },
	[WORKER_BATCHES_DROPPED] = { "penstock_batches_dropped_total", NULL, METRIC_COUNTER,
				     "Batches dropped and read again.", 0 },
	[WORKER_OPEN] = { "penstock_open_records", NULL, METRIC_GAUGE, "Messages handled and not committed yet.", 0 },
	[WORKER_RETRIES] = { "penstock_retries_total", NULL, METRIC_COUNTER,
			     "Waits before something that had failed was tried again; a vendor's calls are not among them.",
			     0 },
	[WORKER_BREAKER] = { "penstock_breaker_open", NULL, METRIC_GAUGE,
			     "Threads that wait before they try again what had failed (broker, database); 0: nobody has to.",
			     0 },
	[WORKER_PARTITIONS] = { "penstock_partitions", NULL, METRIC_GAUGE, "Partitions assigned.", 0 },
	[WORKER_STOPPED] = { "penstock_partitions_stopped", NULL, METRIC_GAUGE,
			     "Assigned partitions that cannot be read on: their offset is gone, or their log is another.",
			     0 },
};

#define DURATION_BOUNDS \
	.unit = NS_PER_SECOND, .bound_count = 13, \
	.bounds = { NS_PER_MS,        2 * NS_PER_MS,     5 * NS_PER_MS,     10 * NS_PER_MS,  25 * NS_PER_MS, \
		    50 * NS_PER_MS,   100 * NS_PER_MS,   250 * NS_PER_MS,   500 * NS_PER_MS, NS_PER_SECOND, \
		    2500 * NS_PER_MS, 5 * NS_PER_SECOND, 10 * NS_PER_SECOND }

struct histogram worker_histograms[WORKER_HISTOGRAMS] = {
	[WORKER_BATCH_RECORDS] = { .name = "penstock_batch_records",
				   .help = "Records in a committed batch.",
				   .unit = 1,
				   .bound_count = 12,
				   .bounds = { 0, 1, 10, 50, 100, 500, 1000, 5000, 10000, 20000, 50000, 100000 } },
	[WORKER_BATCH_NS] = { .name = "penstock_batch_duration_seconds",
			      .help = "Time from a batch's begin to the end of its commit, where it succeeded.",
			      DURATION_BOUNDS },
	[WORKER_COMMIT_NS] = { .name = "penstock_commit_duration_seconds",
			       .help = "Time that a batch's commit took, where it succeeded.",
			       DURATION_BOUNDS },
};

static struct {
	volatile sig_atomic_t stopping;
	volatile sig_atomic_t began; /* was ready once */
	int wake;                    /* eventfd, readable once stopping */
	pthread_mutex_t lock;
	bool ready;
	char missing[128];
	char needs[WORKER_NEEDS][400]; /* empty: it is there */
	const struct worker_spec *spec;
	const struct worker *worker; /* while it runs */
	bool topics_verified;
} self = { .wake = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .missing = "starting" };

/* --- stopping -------------------------------------------------------------------------------------------------------- */

static void on_stop(int signal_number)
{
	const uint64_t one = 1;
	ssize_t n;

	(void)signal_number;
	if (!self.stopping)
		alarm(self.began ? STOP_SECONDS_MAX : STARTING_STOP_SECONDS_MAX);
	self.stopping = 1;
	notify_stopping();
	n = write(self.wake, &one, sizeof(one));
	(void)n;
}

/*
 * The shutdown watchdog: a client that hangs in its close must not keep the
 * process. What is open is read again. Who still waits for a broker that does
 * not answer has nothing open, and did what it was told.
 */
static void on_alarm(int signal_number)
{
	static const char late[] = "{\"level\":\"ERROR\",\"event\":\"shutdown_timeout\",\"message\":\"not stopped in "
				   "time: leaving\"}\n";
	static const char starting[] = "{\"level\":\"INFO\",\"event\":\"stopped\",\"message\":\"stopped before it was "
				       "ready\"}\n";
	ssize_t n = self.began ? write(STDERR_FILENO, late, sizeof(late) - 1)
			       : write(STDERR_FILENO, starting, sizeof(starting) - 1);

	(void)signal_number;
	(void)n;
	_exit(self.began ? EXIT_RETRY : EXIT_OK);
}

static void install_signals(void)
{
	struct sigaction stop = { .sa_handler = on_stop }, late = { .sa_handler = on_alarm };

	self.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGALRM, &late, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool worker_stopping(void)
{
	return self.stopping;
}

void worker_wait(int64_t ms)
{
	struct pollfd wake = { .fd = self.wake, .events = POLLIN };

	poll(&wake, 1, (int)ms);
}

int64_t worker_backoff(int64_t ms, int64_t first_ms, int64_t max_ms)
{
	if (ms < first_ms)
		ms = first_ms;
	metric_add(&worker_metrics[WORKER_RETRIES], 1);
	metric_add(&worker_metrics[WORKER_BREAKER], 1); /* counted: the loader has two threads that may wait */
	worker_wait(ms / 2 + random() % (ms / 2 + 1));
	metric_add(&worker_metrics[WORKER_BREAKER], -1);
	return ms * 2 > max_ms ? max_ms : ms * 2;
}

/* --- HTTP ------------------------------------------------------------------------------------------------------------ */

/* What is waited for, line by line; nothing where all is there. The lock is held. */
static void put_missing(struct buf *text)
{
	if (!self.ready)
		buf_printf(text, "%s\n", self.missing);
	for (unsigned i = 0; i < WORKER_NEEDS; i++)
		if (self.needs[i][0])
			buf_printf(text, "%s\n", self.needs[i]);
}

/* The service manager is told just what /readyz answers. The lock is held. */
static void tell_manager(void)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(MISSING_MAX);

	put_missing(&text);
	if (worker_stopping() || notify_state(buf_text(&text)))
		return;
	log_warning("notify_failed", NULL, "the service manager could not be told at $NOTIFY_SOCKET: %s",
		    strerror(errno));
}

void worker_set_ready(bool ready, const char *missing)
{
	pthread_mutex_lock(&self.lock);
	self.ready = ready;
	if (ready)
		self.began = 1;
	snprintf(self.missing, sizeof(self.missing), "%s", missing);
	tell_manager();
	pthread_mutex_unlock(&self.lock);
}

void worker_set_missing(enum worker_need need, const char *missing)
{
	pthread_mutex_lock(&self.lock);
	snprintf(self.needs[need], sizeof(self.needs[need]), "%s", missing ? missing : "");
	tell_manager();
	pthread_mutex_unlock(&self.lock);
}

static void serve_metrics(struct http_response *response)
{
	response->content_type = "text/plain; version=0.0.4";
	metrics_render(worker_metrics, WORKER_METRICS, &response->body);
	metrics_render(kafka_metrics, KAFKA_METRICS, &response->body);
	for (unsigned i = 0; i < WORKER_HISTOGRAMS; i++)
		histogram_render(&worker_histograms[i], &response->body);
	metrics_render(self.spec->metrics, self.spec->metric_count, &response->body);
	for (unsigned i = 0; self.spec->families && self.spec->families[i]; i++)
		metric_family_render(self.spec->families[i], &response->body);
}

static void serve_health(struct http_response *response)
{
	response->content_type = "text/plain";
	buf_put_text(&response->body, "ok\n");
}

static void serve_ready(struct http_response *response)
{
	response->content_type = "text/plain";
	pthread_mutex_lock(&self.lock);
	put_missing(&response->body);
	pthread_mutex_unlock(&self.lock);
	response->status = response->body.len > 0 ? 503 : 200;
	if (response->body.len == 0)
		buf_put_text(&response->body, "ready\n");
}

bool worker_serve(const struct http_request *request, struct http_response *response)
{
	static const struct {
		const char *path;
		void (*serve)(struct http_response *response);
	} routes[] = {
		{ "/metrics", serve_metrics },
		{ "/healthz", serve_health },
		{ "/readyz", serve_ready },
	};

	for (unsigned i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (strcmp(request->path, routes[i].path) == 0 &&
		    (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)) {
			routes[i].serve(response);
			return true;
		}
	return false;
}

static void on_request(void *unused, const struct http_request *request, struct http_response *response)
{
	(void)unused;
	if (worker_serve(request, response))
		return;
	if (self.spec->handler) {
		self.spec->handler(NULL, request, response);
		return;
	}
	response->status = 404;
	response->content_type = "text/plain";
	buf_put_text(&response->body, "not found\n");
}

/* --- names ----------------------------------------------------------------------------------------------------------- */

const char *worker_instance(const struct config *cfg)
{
	static char host[65];
	const char *instance = config_text(cfg, "instance");

	if (instance[0])
		return instance;
	if (gethostname(host, sizeof(host) - 1))
		return "localhost";
	return host;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* An abstract name of any length: one that is too long ends in its hash. Returns the bytes used. */
static size_t put_name(struct sockaddr_un *address, const char *name)
{
	size_t n = strlen(name), max = sizeof(address->sun_path) - 1;

	if (n <= max) {
		memcpy(address->sun_path + 1, name, n);
		return n;
	}
	return (size_t)snprintf(address->sun_path + 1, max, "%.80s#%016" PRIx64, name, hash_of(name));
}

/* The socket stays open, and with it the name taken, until the process ends. */
static bool claim(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = put_name(&address, name);
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) == 0)
		return true;
	close(fd);
	return false;
}

char *worker_transactional_id(const struct worker *worker, const char *stage, struct err *err)
{
	for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
		char *id = mem_printf("%spenstock.%s.%s.%u", config_text(worker->cfg, "topics.prefix"), stage,
				      worker_instance(worker->cfg), slot);

		if (claim(id))
			return id;
		free(id);
	}
	err_set(err, ERR_FATAL, "more than %d workers of one kind on this host; set `instance`", SLOTS_MAX);
	return NULL;
}

/* --- topics ---------------------------------------------------------------------------------------------------------- */

static bool any_beyond(const struct kafka_offset *partitions, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct topic *topic = topics_find(self.worker->topics, partitions[i].topic);

		if (topic && partitions[i].partition >= topic->partitions)
			return true;
	}
	return false;
}

/* A broker that does not tell is no reason to stand still: it assigned the partitions, and is asked at the next time. */
int worker_verify_topics(const struct kafka_offset *partitions, unsigned count, struct err *err)
{
	if (self.topics_verified && !any_beyond(partitions, count))
		return 0;
	self.topics_verified = topics_verify(self.worker->topics, self.worker->cfg, err) == 0;
	if (self.topics_verified || err->kind != ERR_RETRY)
		return self.topics_verified ? 0 : -1;
	log_warning("topics_not_verified", NULL, "%s", err->text);
	err_clear(err);
	return 0;
}

/* --- main ------------------------------------------------------------------------------------------------------------ */

/* Messages cannot be written without its ids: waits for it as for a broker. */
static int join_registry(const struct config *cfg, struct err *err)
{
	int64_t wait_ms = 0;

	worker_set_ready(false, "registry");
	while (registry_register(cfg, err)) {
		if (err->kind != ERR_RETRY)
			return -1;
		if (wait_ms == 0)
			log_warning("registry_unavailable", NULL, "%s; trying again", err->text);
		wait_ms = worker_backoff(wait_ms, REGISTRY_BACKOFF_MS, REGISTRY_BACKOFF_MAX_MS);
		if (worker_stopping())
			return 0;
	}
	if (wait_ms > 0)
		log_info("registry_back", NULL, "registry.url: answers");
	worker_set_ready(false, "starting");
	return 0;
}

static int run(const struct worker_spec *spec, struct config *cfg, struct err *err)
{
	CLEANUP(topics_freep) struct topics *topics = NULL;
	CLEANUP(http_server_freep) struct http_server *http = NULL;
	CLEANUP(worker_status_freep) struct worker_status *status = NULL;
	struct worker worker = { .cfg = cfg };

	if (topics_open(&topics, cfg, err) || http_server_open(&http, cfg, spec->http_threads, on_request, NULL, err) ||
	    worker_status_open(&status, cfg, spec->work, err))
		return -1;
	worker.topics = topics;
	log_info("http_listening",
		 LOG_FIELDS(log_str("address", config_text(cfg, "http.bind")), log_i64("port", http_server_port(http))),
		 "listening on %s:%d", config_text(cfg, "http.bind"), http_server_port(http));
	worker_set_ready(false, "waiting for the broker");
	if (kafka_reach(cfg, err) || join_registry(cfg, err))
		return -1;
	self.worker = &worker;
	return worker_stopping() ? 0 : spec->run(&worker, err);
}

static int check_config(const struct config *cfg, struct err *err)
{
	return kafka_check(cfg, err) || (self.spec->check && self.spec->check(cfg, err)) ? -1 : 0;
}

int worker_main(const struct worker_spec *spec, int argc, char **argv)
{
	CLEANUP(config_freep) struct config *cfg = NULL;
	struct err err = ERR_INIT;
	enum log_level level = LOG_INFO;

	self.spec = spec;
	switch (config_load(&cfg, &spec->config, check_config, argc, argv)) {
	case CONFIG_EXIT:
		return EXIT_OK;
	case CONFIG_BAD:
		return EXIT_USAGE;
	case CONFIG_RUN:
		break;
	}
	srandom((unsigned)getpid());
	if (!log_level_parse(config_text(cfg, "log.level"), &level)) {
		fprintf(stderr, "%s: log.level: debug, info, warning or error\n", spec->config.binary);
		return EXIT_USAGE;
	}
	log_open(spec->config.binary, level);
	fault_open(spec->config.binary);
	if (!notify_open())
		log_warning("notify_failed", NULL, "$NOTIFY_SOCKET names no socket: nobody is told when this is ready");
	install_signals();
	log_info("started", LOG_FIELDS(log_i64("pid", getpid())), "%s started", spec->config.binary);
	if (run(spec, cfg, &err)) {
		log_err("stopped_by_error", &err);
		return err_exit_code(&err);
	}
	log_info("stopped", NULL, "%s stopped", spec->config.binary);
	return EXIT_OK;
}
