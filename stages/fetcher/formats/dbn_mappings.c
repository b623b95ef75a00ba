#include "stages/fetcher/formats/dbn_mappings.h"

static struct str stype_of(uint8_t stype)
{
	const char *name = dbn_stype_name(stype);

	return str_of(name ? name : "");
}

static void fill(struct symbol_mapping *out, const struct dbn_metadata *metadata, const struct dbn_mapping *mapping,
		 const struct dbn_interval *interval)
{
	*out = (struct symbol_mapping){
		.present = SYMBOL_MAPPING_PRESENT,
		.symbol = mapping->raw_symbol,
		.schema = STR_LIT("symbol_mapping"),
		.dataset = metadata->dataset,
		.stype_in = stype_of(metadata->stype_in),
		.stype_out = stype_of(metadata->stype_out),
		.output_symbol = interval->symbol,
		.d0 = interval->start_day,
		.d1 = interval->end_day,
	};
}

bool dbn_mappings_next(struct dbn_mappings *mappings, const struct dbn_metadata *metadata)
{
	while (mappings->mapping < metadata->mapping_count) {
		const struct dbn_mapping *mapping = &metadata->mappings[mappings->mapping];

		while (mappings->interval < mapping->interval_count) {
			const struct dbn_interval *interval = &mapping->intervals[mappings->interval++];

			if (interval->symbol.len == 0)
				continue;
			fill(&mappings->out, metadata, mapping, interval);
			return true;
		}
		mappings->mapping++;
		mappings->interval = 0;
	}
	return false;
}
