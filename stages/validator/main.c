/* validator: etl.raw.<type> -> etl.valid.<type> | etl.dlq */
#include "common/forward.h"
#include "stages/validator/installed.h"
#include "stages/validator/rule_files.h"
#include "stages/validator/settings.h"
#include "stages/validator/validator.h"

static int open_validator(void **ret_self, struct worker *worker, struct kafka_producer *producer,
			  struct stage_ops *ret_ops, struct err *err)
{
	struct validator *validator;

	if (validator_open(&validator, worker, producer, err))
		return -1;
	*ret_self = validator;
	*ret_ops = validator_stage_ops(validator);
	return 0;
}

static void close_validator(void *self)
{
	struct validator *validator = self;

	validator_freep(&validator);
}

static int run(struct worker *worker, struct err *err)
{
	const struct forward forward = { "validator", DATA_RAW, open_validator, close_validator };

	return forward_run(&forward, worker, err);
}

static int check(const struct config *cfg, struct err *err)
{
	return rule_files_check(config_text(cfg, "rules.folder"), err);
}

int main(int argc, char **argv)
{
	const struct worker_spec spec = {
		.config = validator_config,
		.work = "validation",
		.metrics = validator_metrics,
		.metric_count = validator_metric_count,
		.families = validator_families,
		.handler = installed_serve,
		.check = check,
		.run = run,
	};

	installed_watch();
	return worker_main(&spec, argc, argv);
}
