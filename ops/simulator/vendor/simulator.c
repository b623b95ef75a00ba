#include "ops/simulator/vendor/simulator.h"

#include <stdlib.h>

#include "common/mem.h"

struct simulator *simulator_open(const struct simulator_options *options)
{
	struct simulator *self = mem_zalloc(1, sizeof(*self));

	self->options = *options;
	pthread_mutex_init(&self->archive.lock, NULL);
	pthread_mutex_init(&self->faults.lock, NULL);
	pthread_mutex_init(&self->meter.lock, NULL);
	self->archive.now.seed = options->market.seed;
	self->archive.now.degraded_permille = options->degraded_permille;
	for (size_t i = 0; i < dataset_count; i++)
		instruments_open(&self->instruments[i], &datasets[i], &options->market);
	jobs_open(&self->jobs);
	return self;
}

void simulator_freep(struct simulator **simulator)
{
	struct simulator *self = *simulator;

	*simulator = NULL;
	if (!self)
		return;
	jobs_release(&self->jobs);
	for (size_t i = 0; i < dataset_count; i++)
		instruments_release(&self->instruments[i]);
	pthread_mutex_destroy(&self->archive.lock);
	pthread_mutex_destroy(&self->faults.lock);
	pthread_mutex_destroy(&self->meter.lock);
	free(self);
}

const struct instruments *simulator_instruments(const struct simulator *simulator, const struct dataset *dataset)
{
	return &simulator->instruments[dataset - datasets];
}
