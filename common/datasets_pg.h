#pragma once
/* etl.datasets: what SQL needs to know of common/datasets.yaml. */
#include "common/datasets.h"
#include "common/pg.h"

/* Makes the table say what the file says, and nothing else. */
int datasets_store(const struct datasets *datasets, struct pg *pg, struct err *err);
