#pragma once
/*
 * Manual pages from tables: roff with man's macros, to stdout. Text is any
 * UTF-8; what roff would take for its own is escaped.
 */
void man_begin(const char *name, const char *section, const char *summary); /* up to the end of NAME */
void man_heading(const char *title);
void man_synopsis(const char *name, const char *args);
void man_text(const char *text); /* a paragraph's, or more of it */
void man_paragraph(void);

/* One of a list: `tag` in bold, `rest` behind it as it is ("": nothing). Its text follows. */
void man_item(const char *tag, const char *rest);
