#include "stages/validator/settings.h"

#include "common/forward.h"

static const struct config_key keys[] = {
	FORWARD_KEYS,
	{ "rules.folder", CONFIG_TEXT, "", 0, 0, NULL,
	  "Rule files <type>.yaml that stand in for those that are built in; the same for every validator." },
	{ 0 },
};
static const struct config_key *const shared[] = { config_common_keys, NULL };

const struct config_spec validator_config = { .binary = "validator",
					      .summary = "Checks raw records against the rules of their type.",
					      .keys = keys,
					      .shared = shared };
