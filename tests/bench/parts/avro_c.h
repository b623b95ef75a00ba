#pragma once
/* The same bar by avro-c's generic values, which is what a C program without a generator would use. */
#include "common/buf.h"
#include "common/str.h"

void generic_open(void);
void generic_close(void);
void generic_decode(struct str message);

/* The bar that was decoded last, without its frame. */
void generic_encode(struct buf *out);
