#pragma once
/* The calls, one handler each; routes.c says which path is whose. */
#include "ops/simulator/vendor/answer.h"
#include "ops/simulator/vendor/request.h"
#include "ops/simulator/vendor/simulator.h"

typedef void call_fn(struct simulator *simulator, const struct request *request, struct answer *answer);

call_fn timeseries_get_range;
call_fn metadata_list_datasets, metadata_list_schemas, metadata_list_publishers, metadata_list_fields,
	metadata_list_unit_prices, metadata_get_dataset_condition, metadata_get_dataset_range,
	metadata_get_record_count, metadata_get_billable_size, metadata_get_cost;
call_fn symbology_resolve;
call_fn batch_submit_job, batch_list_jobs, batch_get_job_details, batch_list_files, batch_download_file,
	batch_download_zip;
call_fn control_meter, control_reset_meter, control_faults, control_add_fault, control_clear_faults, control_correct,
	control_withdraw, control_set_condition, control_clear_history;

/* Also put into files of batch jobs. */
struct query;
struct resolution;
void metadata_put_conditions(struct simulator *simulator, const struct dataset *dataset, int32_t first_day,
			     int32_t last_day, struct json_out *json);
void symbology_put(const struct resolution *resolution, uint8_t stype_in, uint8_t stype_out, struct json_out *json);

/* NULL, and 404 or 405 in the answer. is_control: nobody needs a key, no fault hits it. */
call_fn *route_find(const char *method, const char *path, bool *ret_is_control, struct answer *answer);
