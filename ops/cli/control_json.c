#include "ops/cli/control_json.h"

void control_json_text(struct json_out *out, const char *key, const char *value)
{
	json_put_key(out, key);
	json_put_str(out, str_of(value ? value : ""));
}

void control_json_number(struct json_out *out, const char *key, int64_t value)
{
	json_put_key(out, key);
	json_put_int(out, value);
}

void control_event_json(struct json_out *out, const struct task_event *event)
{
	json_put_open(out, '{');
	control_json_number(out, "attempt", event->attempt);
	control_json_number(out, "task", event->task);
	control_json_number(out, "run", event->run);
	control_json_text(out, "state", attempt_state_name(event->state));
	control_json_number(out, "fetched", event->fetched);
	control_json_number(out, "refused", event->refused);
	control_json_number(out, "skipped", event->skipped);
	control_json_number(out, "input_bytes", event->input_bytes);
	control_json_text(out, "worker", event->worker);
	json_put_key(out, "ts");
	json_put_time(out, event->ts);
	control_json_text(out, "message", event->message);
	control_json_text(out, "result", event->result);
	json_put_close(out, '}');
}
