/* A binary's keys as help, as a manual page, and with their values. */
#include <stdio.h>

#include "common/config_internal.h"
#include "common/man.h"
#include "common/mem.h"
#include "common/cleanup.h"
#include "common/version.h"

static void print_key(void *self, const struct config_key *key, bool own)
{
	(void)self;
	(void)own;
	printf("  %-28s %s", key->name, key->help);
	if (key->type == CONFIG_INT && (key->min || key->max))
		printf(" [%lld to %lld%s%s]", (long long)key->min, (long long)key->max, key->unit ? " " : "",
		       key->unit ? key->unit : "");
	if (key->fallback && key->fallback[0] && key->type != CONFIG_SECRET)
		printf(" (default: %s)", key->fallback);
	printf("\n");
}

void config_print_help(const struct config_spec *spec)
{
	printf("penstock-%s: %s\n\n"
	       "usage: penstock-%s [--config FILE] [--set KEY=VALUE]... [--check | --show-config | --version | --help | --man]\n\n"
	       "Configuration: --set, then the environment (PENSTOCK_%s_BATCH_MS, PENSTOCK_KAFKA_BOOTSTRAP_SERVERS), then\n"
	       "the file (" CONFIG_PLACES "), then the default. Secrets also from a file:\n"
	       "PENSTOCK_API_TOKEN_FILE, or api.token_file in the file.\n\nkeys:\n",
	       spec->binary, spec->summary, spec->binary, "LOADER");
	config_each_key(spec, print_key, NULL);
	printf("\nexit codes: 0 done, 1 the answer is no, 2 wrong arguments or configuration, 3 start me again, 4 do not\n");
}

/* --- its manual page ------------------------------------------------------------------------------------------------- */

static void man_key(void *self, const struct config_key *key, bool own)
{
	char range[120] = "";

	(void)self;
	(void)own;
	man_item(key->name, "");
	man_text(key->help);
	if (key->type == CONFIG_INT && (key->min || key->max))
		snprintf(range, sizeof(range), "From %lld to %lld%s%s.", (long long)key->min, (long long)key->max,
			 key->unit ? " " : "", key->unit ? key->unit : "");
	if (range[0])
		man_text(range);
	if (key->fallback && key->fallback[0] && key->type != CONFIG_SECRET) {
		man_text("Default:");
		man_text(key->fallback);
	}
}

static void man_arguments(void)
{
	man_heading("OPTIONS");
	man_item("--config", "FILE");
	man_text("The configuration, instead of " CONFIG_PLACES ".");
	man_item("--set", "KEY=VALUE");
	man_text("One key; stronger than environment and file. May be repeated.");
	man_item("--check", "");
	man_text("Says whether the configuration is good, and ends.");
	man_item("--show-config", "");
	man_text("Every key with its value and where that is from; secrets are masked.");
	man_item("--help", "");
	man_text("The keys, in short.");
	man_item("--man", "");
	man_text("This page, as roff.");
	man_item("--version", "");
	man_text("Name and version.");
}

void config_print_man(const struct config_spec *spec)
{
	char name[64];

	snprintf(name, sizeof(name), "penstock-%s", spec->binary);
	man_begin(name, "8", spec->summary);
	man_heading("SYNOPSIS");
	man_synopsis(name,
		     "[--config FILE] [--set KEY=VALUE]... [--check | --show-config | --version | --help | --man]");
	man_arguments();
	man_heading("CONFIGURATION");
	man_text(
		"A key is looked for in --set, then in the environment, then in the file, then its default is taken. In "
		"the environment it is PENSTOCK_ and its name in capitals with underscores for dots, the binary's name "
		"in front where the key is its own: PENSTOCK_LOADER_BATCH_MS, PENSTOCK_KAFKA_BOOTSTRAP_SERVERS. The "
		"file is YAML; keys of one binary stand in a section of its name. A secret may be in a file of its "
		"own: PENSTOCK_API_TOKEN_FILE, or api.token_file in the file.");
	config_each_key(spec, man_key, NULL);
	man_heading("EXIT STATUS");
	man_text("0 done, 1 the answer is no, 2 wrong arguments or configuration, 3 start me again, 4 do not.");
	man_heading("SEE ALSO");
	man_text("penstock(1)");
}

void config_print_values(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->count; i++) {
		const struct value *v = &cfg->values[i];
		bool secret = v->text[0] && config_is_secret(config_find_key(cfg->spec, v->name), v->name);

		printf("%-32s %-32s # %s\n", v->name, secret ? "********" : v->text, v->where);
	}
}
