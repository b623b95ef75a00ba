#include <fnmatch.h>
#include <string.h>

#include "ops/simulator/vendor/calls.h"

static const struct route {
	const char *methods; /* separated by blanks */
	const char *path;    /* a pattern */
	call_fn *call;
} routes[] = {
	{ "POST", "/v0/timeseries.get_range", timeseries_get_range },
	{ "GET", "/v0/metadata.list_datasets", metadata_list_datasets },
	{ "GET", "/v0/metadata.list_schemas", metadata_list_schemas },
	{ "GET", "/v0/metadata.list_publishers", metadata_list_publishers },
	{ "GET", "/v0/metadata.list_fields", metadata_list_fields },
	{ "GET", "/v0/metadata.list_unit_prices", metadata_list_unit_prices },
	{ "GET", "/v0/metadata.get_dataset_condition", metadata_get_dataset_condition },
	{ "GET", "/v0/metadata.get_dataset_range", metadata_get_dataset_range },
	{ "GET POST", "/v0/metadata.get_record_count", metadata_get_record_count },
	{ "GET POST", "/v0/metadata.get_billable_size", metadata_get_billable_size },
	{ "GET POST", "/v0/metadata.get_cost", metadata_get_cost },
	{ "GET POST", "/v0/symbology.resolve", symbology_resolve },
	{ "POST", "/v0/batch.submit_job", batch_submit_job },
	{ "GET", "/v0/batch.list_jobs", batch_list_jobs },
	{ "GET", "/v0/batch.get_job_details", batch_get_job_details },
	{ "GET", "/v0/batch.list_files", batch_list_files },
	{ "GET", "/v0/batch.download", batch_download_zip },
	{ "GET", "/v0/batch/download/*/*", batch_download_file },
	{ "GET", "/simulator/meter", control_meter },
	{ "DELETE", "/simulator/meter", control_reset_meter },
	{ "GET", "/simulator/faults", control_faults },
	{ "POST", "/simulator/faults", control_add_fault },
	{ "DELETE", "/simulator/faults", control_clear_faults },
	{ "POST", "/simulator/corrections", control_correct },
	{ "POST", "/simulator/withdrawals", control_withdraw },
	{ "POST", "/simulator/conditions", control_set_condition },
	{ "DELETE", "/simulator/history", control_clear_history },
};

static bool allows(const struct route *route, const char *method)
{
	const char *found = strstr(route->methods, method);
	size_t n = strlen(method);

	return found && (found == route->methods || found[-1] == ' ') && (found[n] == ' ' || found[n] == '\0');
}

call_fn *route_find(const char *method, const char *path, bool *ret_is_control, struct answer *answer)
{
	bool known = false;

	*ret_is_control = strncmp(path, "/simulator/", 11) == 0;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (fnmatch(routes[i].path, path, FNM_PATHNAME) != 0)
			continue;
		known = true;
		if (allows(&routes[i], method))
			return routes[i].call;
	}
	answer_detail(answer, known ? 405 : 404, known ? "Method Not Allowed" : "Not Found");
	return NULL;
}
