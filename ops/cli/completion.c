#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/mem.h"
#include "ops/cli/cli.h"

/*
 * Scripts in which the table of commands stands as two `case`s: what may
 * follow these words, and these options. `cmd` is the words up to the first
 * option, `prev` the word before the one that is typed. Where they know
 * nothing the shell completes names of files.
 */
static const char shared_head[] =
	"# What may follow the words $1, where the word before is $2 and this one begins with $3.\n"
	"_penstock_candidates() {\n"
	"\tlocal cmd=\"$1\" prev=\"$2\" cur=\"$3\"\n"
	"\tcase \"$cmd\" in\n";
static const char shared_tail[] = "\tesac\n}\n\n";

static const char bash_tail[] =
	"_penstock() {\n"
	"\tlocal cmd= i\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\t[[ ${COMP_WORDS[i]} == -* ]] && break\n"
	"\t\tcmd+=\"${cmd:+ }${COMP_WORDS[i]}\"\n"
	"\tdone\n"
	"\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD - 1]}\"\n"
	"\tCOMPREPLY=($(compgen -W \"$(_penstock_candidates \"$cmd\" \"$prev\" \"$cur\")\" -- \"$cur\"))\n"
	"}\n"
	"complete -o bashdefault -o default -F _penstock penstock\n";

static const char zsh_tail[] =
	"_penstock() {\n"
	"\tlocal cmd= word\n"
	"\tlocal -a found\n"
	"\tfor word in \"${(@)words[2,CURRENT-1]}\"; do\n"
	"\t\t[[ $word == -* ]] && break\n"
	"\t\tcmd+=\"${cmd:+ }$word\"\n"
	"\tdone\n"
	"\tfound=(${=$(_penstock_candidates \"$cmd\" \"${words[CURRENT-1]}\" \"$PREFIX\")})\n"
	"\tif (( $#found )); then compadd -- $found; else _files; fi\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _penstock ]; then _penstock \"$@\"; else compdef _penstock penstock; fi\n";

/* --- words that come behind others ----------------------------------------------------------------------------------- */

/* The word behind the first `length` characters of the name, which end at a word's end; its length, 0: another name. */
static int next_word(const char *name, const char *words, size_t length, const char **ret)
{
	if (length > 0 && (strncmp(name, words, length) != 0 || name[length] != ' '))
		return 0;
	*ret = name + length + (length > 0);
	return (int)strcspn(*ret, " ");
}

/* Names of one beginning are neighbours in the table, so each word comes once. */
static void put_next_words(const char *words, size_t length)
{
	const char *word, *last = "";
	int last_length = 0;

	for (const struct command *c = cli_commands; c->name; c++) {
		int n = next_word(c->name, words, length, &word);

		if (n == 0 || (n == last_length && strncmp(word, last, (size_t)n) == 0))
			continue;
		printf("%s%.*s", last_length ? " " : "", n, word);
		last = word;
		last_length = n;
	}
}

static void put_beginning(const char *words, size_t n)
{
	printf("\t\"%.*s\" | \"help %.*s\") echo \"", (int)n, words, (int)n, words);
	put_next_words(words, n);
	printf("\" ;;\n");
}

/* `penstock` alone, and each beginning that is longer than nothing and shorter than a name. */
static void put_beginnings(void)
{
	const char *last = "";

	printf("\t\"\") echo \"");
	put_next_words("", 0);
	for (const char *const *w = cli_workers; *w; w++)
		printf(" %s", *w);
	printf(" --help --version\" ;;\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		for (size_t n = strcspn(c->name, " "); c->name[n]; n += 1 + strcspn(c->name + n + 1, " "))
			if (strncmp(last, c->name, n) != 0 || last[n] != ' ')
				put_beginning(c->name, n);
		last = c->name;
	}
	printf("\thelp) echo \"");
	put_next_words("", 0);
	printf("\" ;;\n");
}

/* --- options of a command -------------------------------------------------------------------------------------------- */

static bool is_choice(const char *word)
{
	for (const char *p = word; *p; p++)
		if (!islower((unsigned char)*p) && !strchr("|_-0123456789", *p))
			return false;
	return strchr(word, '|') && word[0] != '-' && word[0] != '|';
}

static void put_choices(const char *word)
{
	for (; *word; word++)
		putchar(*word == '|' ? ' ' : *word);
}

/* What the command's args are made of, without brackets: "--by", "class|rule", "ID". */
struct words {
	char *text;
	char *list[64];
	int count;
};

static void split_args(struct words *words, const char *args)
{
	char *rest, *word;

	*words = (struct words){ .text = mem_strdup(args) };
	rest = words->text;
	while ((word = strsep(&rest, " []\"'.")) && words->count < 64)
		if (*word)
			words->list[words->count++] = word;
}

/* An option is followed by its value unless the brackets end, or another option comes. */
static bool takes_value(const char *args, const char *option)
{
	size_t n = strlen(option);

	for (const char *at = strstr(args, option); at; at = strstr(at + 1, option))
		if (at[n] == ' ')
			return at[n + 1] != '[' && at[n + 1] != '-';
	return false;
}

/* Values of options first: behind one whose value is free there is nothing to say. */
static void put_values(const struct words *words, const char *args)
{
	for (int i = 0; i < words->count; i++) {
		const char *option = words->list[i];

		if (option[0] != '-' || !takes_value(args, option))
			continue;
		printf("\t\t%s) ", option);
		if (i + 1 < words->count && is_choice(words->list[i + 1])) {
			printf("echo \"");
			put_choices(words->list[i + 1]);
			printf("\" ");
		}
		printf(";;\n");
	}
	printf("\t\t--config | --set) ;;\n");
}

static void put_options(const struct words *words)
{
	bool files = words->count > 0 && strcmp(words->list[0], "FILE") == 0; /* they come first */

	printf("\t\t*) %secho \"", files ? "[[ $cur != -* ]] || " : "");
	for (int i = 0; i < words->count; i++) {
		const char *word = words->list[i];

		if (is_choice(word) && (i == 0 || words->list[i - 1][0] != '-')) {
			put_choices(word);
			putchar(' ');
		}
		if (word[0] == '-')
			printf("%s ", word);
	}
	printf("--config --set\" ;;\n");
}

static void put_command(const struct command *command)
{
	struct words words;

	split_args(&words, command->args);
	printf("\t\"%s\" | \"%s \"*)\n\t\tcase \"$prev\" in\n", command->name, command->name);
	put_values(&words, command->args);
	put_options(&words);
	printf("\t\tesac ;;\n");
	free(words.text);
}

/* --- the command ----------------------------------------------------------------------------------------------------- */

static void put_workers(void)
{
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(*w, "simulator") != 0)
			printf("%s%s", w == cli_workers ? "\t" : " | ", *w);
	printf(")\n\t\tcase \"$prev\" in\n\t\t--config | --set) ;;\n"
	       "\t\t*) echo \"--config --set --check --show-config --version --help --man\" ;;\n\t\tesac ;;\n");
	printf("\tman) echo \"penstock");
	for (const char *const *w = cli_workers; *w; w++)
		if (strcmp(*w, "simulator") != 0)
			printf(" penstock-%s", *w);
	printf("\" ;;\n");
}

int command_completion(int argc, char **argv)
{
	bool zsh = argc > 0 && strcmp(argv[0], "zsh") == 0;

	if (argc != 1 || (!zsh && strcmp(argv[0], "bash") != 0)) {
		fprintf(stderr, "penstock completion: bash or zsh, as in: source <(penstock completion bash)\n");
		return EXIT_USAGE;
	}
	printf("%s# penstock's commands and options, for %s: source <(penstock completion %s)\n\n",
	       zsh ? "#compdef penstock\n" : "", argv[0], argv[0]);
	fputs(shared_head, stdout);
	put_beginnings();
	put_workers();
	for (const struct command *c = cli_commands; c->name; c++)
		if (strcmp(c->name, "help") != 0 && strcmp(c->name, "man") != 0)
			put_command(c);
	fputs(shared_tail, stdout);
	fputs(zsh ? zsh_tail : bash_tail, stdout);
	return EXIT_OK;
}
