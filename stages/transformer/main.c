/* transformer: etl.valid.<type> -> etl.clean.<type> | etl.dlq */
#include "common/forward.h"
#include "stages/transformer/transformer.h"

static const struct config_key keys[] = { FORWARD_KEYS, { 0 } };
static const struct config_key *const shared[] = { config_common_keys, NULL };

static int open_transformer(void **ret_self, struct worker *worker, struct kafka_producer *producer,
			    struct stage_ops *ret_ops, struct err *err)
{
	struct transformer *transformer;

	if (transformer_open(&transformer, worker, producer, err))
		return -1;
	*ret_self = transformer;
	*ret_ops = transformer_stage_ops(transformer);
	return 0;
}

static void close_transformer(void *self)
{
	struct transformer *transformer = self;

	transformer_freep(&transformer);
}

static int run(struct worker *worker, struct err *err)
{
	const struct forward forward = { "transformer", DATA_VALID, open_transformer, close_transformer };

	return forward_run(&forward, worker, err);
}

int main(int argc, char **argv)
{
	const struct worker_spec spec = {
		.config = { .binary = "transformer",
			    .summary = "Brings validated records into the shape of their table.",
			    .keys = keys,
			    .shared = shared },
		.work = "transformation",
		.run = run,
	};

	return worker_main(&spec, argc, argv);
}
