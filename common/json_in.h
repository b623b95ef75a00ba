#pragma once
/* JSON that comes from outside is read with jansson; what its handles need beside. */
#include <jansson.h>

static inline void json_freep(json_t **json)
{
	json_decref(*json);
}
