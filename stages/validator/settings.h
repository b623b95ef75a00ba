#pragma once
/* The validator's configuration: its own, and that of commands which want to know what is installed here. */
#include "common/config.h"

extern const struct config_spec validator_config;
