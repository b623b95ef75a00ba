#include "ops/cli/vendor.h"

#include "common/clock.h"
#include "common/http_client.h"
#include "ops/cli/cli.h"
#include "stages/fetcher/fetcher.h"

#define WAIT_MS_MAX 1000

static void wake(void *self)
{
	wakeup_wake(self);
}

static int read_config(struct vendor *vendor, const char *config, int *argc, char **argv, struct err *err)
{
	static const struct config_key *const shared[] = { config_common_keys, NULL };
	static const struct config_spec spec = {
		.binary = "fetcher", .summary = "", .keys = fetcher_keys, .shared = shared
	};
	const char *assignment;

	if (config_open(&vendor->cfg, &spec, config, err))
		return -1;
	while ((assignment = cli_option(argc, argv, "--set")))
		if (config_set(vendor->cfg, assignment, err))
			return -1;
	return databento_account_read(&vendor->account, vendor->cfg, err);
}

int vendor_open(struct vendor *vendor, const char *config, int *argc, char **argv, struct err *err)
{
	if (read_config(vendor, config, argc, argv, err))
		return -1;
	wakeup_init(&vendor->woken);
	vendor->opened = true;
	limiter_init(&vendor->limiter, vendor->account.calls_per_minute, vendor->account.burst);
	vendor->env.limiter = &vendor->limiter;
	vendor->env.databento = &vendor->account;
	return http_client_start(&vendor->env.http, wake, &vendor->woken, err);
}

void vendor_release(struct vendor *vendor)
{
	http_client_freep(&vendor->env.http);
	if (vendor->opened)
		wakeup_release(&vendor->woken);
	config_freep(&vendor->cfg);
}

void vendor_wait(struct vendor *vendor, int64_t ready_ns)
{
	int64_t ms = (ready_ns - clock_monotonic_ns()) / NS_PER_MS + 1;

	wakeup_wait(&vendor->woken, ms < 0 ? 0 : ms > WAIT_MS_MAX ? WAIT_MS_MAX : ms);
}
