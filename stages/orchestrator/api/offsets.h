#pragma once
/* Where groups stand, as the core saw it last: for /api/v1/offsets and /api/v1/lag. */
#include "stages/orchestrator/positions.h"

/* Keeps what was read; NULL: nothing is known now. */
void api_offsets_take(const struct positions *positions);
