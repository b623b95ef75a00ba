#include "common/man.h"

#include <stdint.h>
#include <stdio.h>

#include "common/version.h"

/* The code point at *p, and *p behind it; our own texts are valid UTF-8. */
static uint32_t take_code_point(const unsigned char **p)
{
	uint32_t c = *(*p)++;
	unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

	if (more)
		c &= 0x3fu >> more;
	for (; more > 0 && **p; more--)
		c = c << 6 | (*(*p)++ & 0x3fu);
	return c;
}

static void put(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		uint32_t c = take_code_point(&p);

		if (c == '\\')
			fputs("\\e", stdout);
		else if (c == '-' || c == '`')
			printf(c == '-' ? "\\-" : "\\(ga");
		else if (c == '\'')
			fputs("\\(aq", stdout); /* typed as it is, and no request at a line's start */
		else if (c >= 0x80)
			printf("\\[u%04X]", c);
		else
			putchar((int)c);
	}
}

void man_begin(const char *name, const char *section, const char *summary)
{
	printf(".\\\" Made from the program's tables.\n.TH \"%s\" \"%s\" \"\" \"penstock " PENSTOCK_VERSION
	       "\" \"penstock\"\n.SH NAME\n",
	       name, section);
	put(name);
	fputs(" \\- ", stdout);
	put(summary);
	putchar('\n');
}

void man_heading(const char *title)
{
	printf(".SH \"%s\"\n", title);
}

void man_synopsis(const char *name, const char *args)
{
	fputs("\\fB", stdout);
	put(name);
	fputs("\\fR ", stdout);
	put(args);
	putchar('\n');
}

void man_text(const char *text)
{
	fputs("\\&", stdout); /* a full stop at the start would be a request */
	put(text);
	putchar('\n');
}

void man_paragraph(void)
{
	puts(".PP");
}

void man_item(const char *tag, const char *rest)
{
	fputs(".TP\n\\fB", stdout);
	put(tag);
	fputs("\\fR", stdout);
	if (rest[0])
		putchar(' ');
	put(rest);
	putchar('\n');
}
