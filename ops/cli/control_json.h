#pragma once
/* Control records as JSON, for `cat` and `events`. */
#include <stdint.h>

#include "common/control.h"
#include "common/json_out.h"

/* Members of an object; NULL is "". */
void control_json_text(struct json_out *out, const char *key, const char *value);
void control_json_number(struct json_out *out, const char *key, int64_t value);

void control_event_json(struct json_out *out, const struct task_event *event);
