#pragma once
/*
 * How a rule set is made: rules_parse.c reads an expression into typed nodes,
 * rules_compile.c turns these into instructions, rules_eval.c runs them.
 * rules.c reads the file around the expressions and tells what was violated.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/datasets.h"
#include "common/err.h"
#include "common/record.h"
#include "common/str.h"
#include "common/yaml_in.h"
#include "stages/validator/rules.h"

#define EXPR_NODES_MAX 256 /* of one expression */
#define EXPR_DEPTH_MAX 32  /* parentheses, `not` and signs inside each other */
#define CODE_MAX 4096      /* instructions of one set */
#define STRINGS_MAX 256    /* literals of one set */
#define SPANS_MAX 256      /* pairs of bounds of one set; what is more is compared one by one */
#define REGISTERS_MAX 16

/* --- expressions ------------------------------------------------------------------------------------------------------ */

enum value_type {
	TYPE_CONDITION,
	TYPE_NUMBER, /* a literal, until what it stands beside gives it a type */
	TYPE_INT,
	TYPE_DECIMAL,  /* units of 1e-9 */
	TYPE_TIME,     /* ns */
	TYPE_DATE,     /* days */
	TYPE_DURATION, /* ns */
	TYPE_STRING,
};

/* What a comparison accepts; one bit is set in what it finds. */
enum order {
	ORDER_LESS = 1,
	ORDER_EQUAL = 2,
	ORDER_GREATER = 4,
	ORDER_NOT_EQUAL = ORDER_LESS | ORDER_GREATER,
};

enum node_kind {
	NODE_FIELD,
	NODE_LITERAL, /* number, or text for TYPE_NUMBER and TYPE_STRING */
	NODE_NOW,
	NODE_LENGTH,      /* of a string field */
	NODE_ASSET_CLASS, /* of the dataset in a string field */
	NODE_ADD,
	NODE_SUBTRACT,
	NODE_MULTIPLY,
	NODE_COMPARE,
	NODE_AND,
	NODE_OR,
	NODE_NOT,
	NODE_IS_NULL,
	NODE_IS_TEXT,
};

struct node {
	enum node_kind kind;
	enum value_type type;
	uint32_t pos;    /* in the expression */
	uint64_t needs;  /* presence bits of the nullable fields in it */
	bool varies;     /* holds a field or `now` */
	bool negative;   /* of a TYPE_NUMBER */
	uint8_t accepts; /* of a comparison: enum order */
	int64_t number;
	struct str text;
	const struct record_field *field;
	struct node *left, *right;
};

/* One expression while it is read. Slices of it live as long as the document. */
struct expr {
	const struct record_type *type;
	const char *name;           /* of the file */
	struct str source;          /* the file's text */
	struct datasets **datasets; /* read when they are asked for first */
	const struct yaml_node *at;
	const char *text;
	struct node nodes[EXPR_NODES_MAX];
	unsigned count;
	struct err *err;
};

/* Sets "file:line:column: …" for a place in the expression; returns -1. */
int expr_error(const struct expr *expr, uint32_t pos, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The condition that the text stands for; NULL and *expr->err where it is none. */
struct node *expr_parse(struct expr *expr);

/* --- types (rules_types.c) -------------------------------------------------------------------------------------------- */

/* All return NULL, and set *expr->err, where the operands do not go together. */
struct node *expr_node(struct expr *expr, enum node_kind kind, enum value_type type, uint32_t pos);
struct node *expr_field(struct expr *expr, struct str name, uint32_t pos);
struct node *expr_asset_class(struct expr *expr, uint32_t pos);
struct node *expr_arithmetic(struct expr *expr, enum node_kind kind, struct node *left, struct node *right,
			     uint32_t pos);
struct node *expr_negative(struct expr *expr, struct node *operand, uint32_t pos);
struct node *expr_compare(struct expr *expr, uint8_t accepts, struct node *left, struct node *right, uint32_t pos);
struct node *expr_is_null(struct expr *expr, struct node *operand, uint32_t pos);
struct node *expr_is_text(struct expr *expr, struct node *operand, bool negated, uint32_t pos);

/* A condition as it is: a comparison, or a field that is true or false. */
struct node *expr_condition(struct expr *expr, struct node *operand);
struct node *expr_logic(struct expr *expr, enum node_kind kind, struct node *left, struct node *right, uint32_t pos);

/* --- programs --------------------------------------------------------------------------------------------------------- */

/*
 * A set is one program. A condition jumps or goes on behind itself, and it is laid out so that a record without fault
 * goes straight through: a rule's OP_VIOLATED stands at the end and jumps back to the next rule.
 */
enum op {
	/* conditions */
	OP_COMPARE_WIDE,   /* 64 bits at a with 64 bits at b of the record, or of this instruction: &k */
	OP_OUTSIDE,        /* 64 bits at a: below k, or above k + span b? Of `run` fields side by side: is one? */
	OP_COMPARE_INT,    /* 32 bits at a with k */
	OP_COMPARE_LENGTH, /* of the string at a with k */
	OP_COMPARE_NOW,    /* 64 bits at a with now + k; overflow jumps to b */
	OP_COMPARE,        /* register a with register b */
	OP_STRING_FIELDS,
	OP_STRING_CONST, /* string at a with literal k */
	OP_ASSET_CLASS,  /* of the dataset in the string at a: is it number k? */
	OP_IS_TEXT,
	OP_IS_TRUE, /* bool at a */
	OP_IS_PRESENT,
	/* values: into register a, go on behind */
	OP_LOAD64, /* from b */
	OP_LOAD32,
	OP_LENGTH,
	OP_CONST,
	OP_NOW,
	OP_ADD, /* register b to register a; overflow jumps */
	OP_SUBTRACT,
	OP_MULTIPLY,
	/* the frame */
	OP_VIOLATED, /* rule k; jumps */
	OP_END,
};

struct insn {
	uint8_t op;
	uint8_t jumps_on;   /* what a comparison finds: enum order; what a test finds: ORDER_EQUAL where it is so */
	bool jumps_on_null; /* where a field of `needs` is null */
	bool constant;      /* of OP_COMPARE_WIDE */
	uint16_t a, b;      /* offsets, or registers */
	uint16_t to;        /* where it jumps */
	uint8_t run;        /* of OP_OUTSIDE: itself, and those behind it that ask the same of the next fields */
	uint64_t needs;
	int64_t k;
};

struct rule {
	struct rule_text text;
	uint16_t end; /* of its code */
	uint8_t field_count;
	uint8_t fields[64]; /* in order of appearance */
};

struct ruleset {
	char version[96];
	unsigned number;
	const struct record_type *type;
	struct yaml_doc *doc;      /* names, conditions and literals point into it */
	struct datasets *datasets; /* NULL: no rule asks for them */
	unsigned count;
	uint64_t rejecting; /* bit i: rule i is of severity reject */
	uint64_t needs;     /* presence bits of the nullable fields in any rule */
	struct rule rules[RULES_MAX];
	unsigned code_count, string_count, span_count;
	struct insn code[CODE_MAX + 1 + RULES_MAX]; /* OP_END and the OP_VIOLATED */
	struct str strings[STRINGS_MAX];
	uint64_t spans[SPANS_MAX];
};

/* Appends the program of rule set->count: `violated`, where `when` (NULL: always) holds. */
int rule_compile(struct ruleset *set, struct expr *expr, const struct node *when, const struct node *violated);

/* Ends the set's program, once; there is room for this always. */
void ruleset_end(struct ruleset *set);
