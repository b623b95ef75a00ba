#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/yaml_in.h"

static struct yaml_doc *read_ok(const char *text)
{
	struct yaml_doc *doc = NULL;
	struct err err = ERR_INIT;

	if (yaml_read(&doc, "t.yaml", str_of(text), &err))
		fail_msg("%s", err.text);
	return doc;
}

/* The error begins with `prefix`: name, line and, where libyaml says it, column. */
static void expect_error(struct str text, const char *prefix, const char *part)
{
	struct yaml_doc *doc = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(yaml_read(&doc, "t.yaml", text, &err), -1);
	assert_null(doc);
	assert_int_equal(err.kind, ERR_FATAL);
	if (strncmp(err.text, prefix, strlen(prefix)) != 0 || !strstr(err.text, part))
		fail_msg("'%s' lacks '%s' or '%s'", err.text, prefix, part);
}

static void test_tree(void **state)
{
	CLEANUP(yaml_freep)
	struct yaml_doc *doc = read_ok("name: a\n"
				       "list: [1, two, 'th''ree']\n"
				       "map:\n"
				       "  inner: |\n"
				       "    text\n"
				       "empty:\n");
	const struct yaml_node *root = yaml_root(doc), *list = yaml_get(doc, root, "list");

	(void)state;
	assert_int_equal(yaml_kind(root), YAML_MAP);
	assert_int_equal(yaml_count(root), 4);
	assert_string_equal(yaml_key(doc, root, 2), "map");
	assert_string_equal(yaml_text(yaml_get(doc, root, "name")), "a");
	assert_int_equal(yaml_kind(list), YAML_LIST);
	assert_null(yaml_text(list));
	assert_int_equal(yaml_count(list), 3);
	assert_string_equal(yaml_text(yaml_item(doc, list, 2)), "th'ree");
	assert_int_equal(yaml_line(yaml_item(doc, list, 1)), 2);
	assert_int_equal(yaml_column(yaml_item(doc, list, 1)), 11);
	assert_string_equal(yaml_text(yaml_get(doc, yaml_get(doc, root, "map"), "inner")), "text\n");
	assert_string_equal(yaml_text(yaml_get(doc, root, "empty")), "");
	assert_int_equal(yaml_count(yaml_get(doc, root, "name")), 0);
	assert_null(yaml_get(doc, root, "other"));
	assert_null(yaml_get(doc, list, "name"));
	assert_null(yaml_get(doc, NULL, "name"));
}

static void test_empty_documents(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		CLEANUP(yaml_freep) struct yaml_doc *doc = read_ok(((const char *[]){ "", "\n", "# nothing\n" })[i]);

		assert_null(yaml_root(doc));
	}
}

static void test_get_text(void **state)
{
	CLEANUP(yaml_freep) struct yaml_doc *doc = read_ok("a: x\nb:\n  - 1\n");
	struct err err = ERR_INIT;
	const char *text;

	(void)state;
	assert_int_equal(yaml_get_text(doc, yaml_root(doc), "a", "f", &text, &err), 0);
	assert_string_equal(text, "x");
	assert_int_equal(yaml_get_text(doc, yaml_root(doc), "c", "f", &text, &err), 0);
	assert_string_equal(text, "f");
	assert_int_equal(yaml_get_text(doc, yaml_root(doc), "c", NULL, &text, &err), 0);
	assert_null(text);
	assert_int_equal(yaml_get_text(doc, yaml_root(doc), "b", "f", &text, &err), -1);
	assert_string_equal(err.text, "t.yaml:3:3: b takes a single value");
}

static void test_unknown_keys(void **state)
{
	static const char *const keys[] = { "name", "rules", NULL };
	CLEANUP(yaml_freep) struct yaml_doc *doc = read_ok("name: a\nruls:\n  - 1\n");
	CLEANUP(yaml_freep) struct yaml_doc *list = read_ok("- 1\n");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(yaml_check_keys(doc, yaml_root(doc), keys, &err), -1);
	assert_string_equal(err.text, "t.yaml:2:1: unknown key 'ruls' (known: name, rules)");
	assert_int_equal(yaml_check_keys(list, yaml_root(list), keys, &err), -1);
	assert_string_equal(err.text, "t.yaml:1:1: a mapping is needed here (name, rules)");
	assert_int_equal(yaml_check_keys(list, NULL, keys, &err), -1);
	assert_int_equal(err.kind, ERR_FATAL);
}

static void test_refused(void **state)
{
	(void)state;
	expect_error(STR_LIT("a: 1\nb: 2\na: 3\n"), "t.yaml:3:1: ", "key 'a' stands in line 1 already");
	expect_error(STR_LIT("x:\n  - {b: 1, a: 2, b: 3}\n"), "t.yaml:2:18: ", "key 'b'");
	expect_error(STR_LIT("? [a, b]\n: 1\n"), "t.yaml:1:", "a key is a text");
	expect_error(STR_LIT("a: &x [1]\nb: *x\n"), "t.yaml:1:", "aliases");
	expect_error(STR_LIT("&x [*x]\n"), "t.yaml:1:", "aliases");
	expect_error(STR_LIT("a: 1\n---\nb: 2\n"), "t.yaml:3:", "second document");
	expect_error(STR_LIT("a: \"x\\0y\"\n"), "t.yaml:1:", "NUL");
	expect_error(STR_LIT("a: 1\n b: 2\n"), "t.yaml:2:3: ", "mapping values");
	expect_error(STR_LIT("a: [1\nb: 2\n"), "t.yaml:2:", "");
	expect_error(STR_LIT("a: 1\n\tb: 2\n"), "t.yaml:2:", "");
	expect_error(STR_LIT("a: 1\nb: \xff\n"), "t.yaml:2:4: ", "UTF-8");
	expect_error(STR_LIT("a: 1\n--- [\n"), "t.yaml:3:", "");
}

static void test_bounds(void **state)
{
	CLEANUP(buf_release) struct buf deep = BUF_INIT(65536), large = BUF_INIT(YAML_TEXT_MAX + 1);

	(void)state;
	for (unsigned i = 0; i < YAML_DEPTH_MAX; i++)
		buf_put_text(&deep, "[");
	for (unsigned i = 0; i < YAML_DEPTH_MAX; i++)
		buf_put_text(&deep, "]");
	yaml_freep(&(struct yaml_doc *){ read_ok(buf_text(&deep)) });
	buf_reset(&deep);
	for (unsigned i = 0; i < 5000; i++)
		buf_put_text(&deep, "[");
	expect_error(buf_str(&deep), "t.yaml:", "");
	buf_reset(&deep);
	for (unsigned i = 0; i < 60; i++)
		buf_printf(&deep, "%*s-\n", (int)i, "");
	expect_error(buf_str(&deep), "t.yaml:33:33: ", "deeper than 32");
	memset(buf_room(&large, YAML_TEXT_MAX + 1), ' ', YAML_TEXT_MAX + 1);
	large.len = YAML_TEXT_MAX + 1;
	expect_error(buf_str(&large), "t.yaml: ", "larger than 4194304 bytes");
}

/* Time grows with the number of keys, not with its square. */
static void test_many_keys(void **state)
{
	CLEANUP(buf_release) struct buf text = BUF_INIT(YAML_TEXT_MAX);
	CLEANUP(yaml_freep) struct yaml_doc *doc = NULL;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		buf_printf(&text, "k%u: 1\n", i);
	doc = read_ok(buf_text(&text));
	assert_int_equal(yaml_count(yaml_root(doc)), 100000);
	buf_put_text(&text, "k77: 1\n");
	expect_error(buf_str(&text), "t.yaml:100001:1: ", "key 'k77' stands in line 78 already");
}

static void test_files(void **state)
{
	char path[] = "/tmp/penstock-unit-XXXXXX";
	int fd = mkstemp(path);
	struct yaml_doc *doc = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(write(fd, "a: 1\n", 5), 5);
	close(fd);
	assert_int_equal(yaml_read_file(&doc, path, &err), 0);
	assert_string_equal(yaml_text(yaml_get(doc, yaml_root(doc), "a")), "1");
	yaml_freep(&doc);
	assert_null(doc);
	unlink(path);
	assert_int_equal(yaml_read_file(&doc, path, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(yaml_read_file(&doc, "/tmp", &err), -1);
	assert_non_null(strstr(err.text, "/tmp: Is a directory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),      cmocka_unit_test(test_empty_documents),
		cmocka_unit_test(test_get_text),  cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_keys), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("yaml_in", tests, NULL, NULL);
}
