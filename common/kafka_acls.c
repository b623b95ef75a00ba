#include "common/kafka_acls.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define TRANSACTIONAL_ID ((rd_kafka_ResourceType_t)5) /* of the protocol; the library has it since 2.6 */
#define SINCE 0x020600ff

static const struct {
	const char *name;
	rd_kafka_ResourceType_t type;
} resources[] = {
	[KAFKA_RESOURCE_TOPIC] = { "topic", RD_KAFKA_RESOURCE_TOPIC },
	[KAFKA_RESOURCE_GROUP] = { "group", RD_KAFKA_RESOURCE_GROUP },
	[KAFKA_RESOURCE_CLUSTER] = { "cluster", RD_KAFKA_RESOURCE_BROKER },
	[KAFKA_RESOURCE_TRANSACTIONAL_ID] = { "transactional_id", TRANSACTIONAL_ID },
	[KAFKA_RESOURCE_OTHER] = { "other", RD_KAFKA_RESOURCE_UNKNOWN },
};

static const struct {
	const char *name;
	rd_kafka_AclOperation_t operation;
} operations[] = {
	{ "all", RD_KAFKA_ACL_OPERATION_ALL },
	{ "read", RD_KAFKA_ACL_OPERATION_READ },
	{ "write", RD_KAFKA_ACL_OPERATION_WRITE },
	{ "create", RD_KAFKA_ACL_OPERATION_CREATE },
	{ "delete", RD_KAFKA_ACL_OPERATION_DELETE },
	{ "alter", RD_KAFKA_ACL_OPERATION_ALTER },
	{ "describe", RD_KAFKA_ACL_OPERATION_DESCRIBE },
	{ "cluster_action", RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION },
	{ "describe_configs", RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS },
	{ "alter_configs", RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS },
	{ "idempotent_write", RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE },
};

#define OPERATIONS (sizeof(operations) / sizeof(*operations))

void kafka_acls_release(struct kafka_acls *acls)
{
	for (unsigned i = 0; i < acls->count; i++) {
		free(acls->list[i].principal);
		free(acls->list[i].name);
	}
	free(acls->list);
	*acls = (struct kafka_acls){ .list = NULL };
}

/* --- names ----------------------------------------------------------------------------------------------------------- */

bool kafka_resource_parse(const char *text, enum kafka_resource *ret)
{
	for (unsigned i = 0; i < KAFKA_RESOURCE_OTHER; i++)
		if (strcmp(resources[i].name, text) == 0) {
			*ret = (enum kafka_resource)i;
			return true;
		}
	return false;
}

const char *kafka_resource_name(enum kafka_resource resource)
{
	return resources[resource].name;
}

int kafka_operation(const char *text)
{
	for (unsigned i = 0; i < OPERATIONS; i++)
		if (strcmp(operations[i].name, text) == 0)
			return (int)operations[i].operation;
	return -1;
}

const char *kafka_operation_name(int operation)
{
	for (unsigned i = 0; i < OPERATIONS; i++)
		if ((int)operations[i].operation == operation)
			return operations[i].name;
	return "other";
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

static void destroy_filterp(rd_kafka_AclBindingFilter_t **filter)
{
	if (*filter)
		rd_kafka_AclBinding_destroy(*filter);
}

static void destroy_eventp(rd_kafka_event_t **event)
{
	if (*event)
		rd_kafka_event_destroy(*event);
}

static void destroy_optionsp(rd_kafka_AdminOptions_t **options)
{
	rd_kafka_AdminOptions_destroy(*options);
}

static enum kafka_resource resource_of(rd_kafka_ResourceType_t type)
{
	for (unsigned i = 0; i < KAFKA_RESOURCE_OTHER; i++)
		if (resources[i].type == type)
			return (enum kafka_resource)i;
	return KAFKA_RESOURCE_OTHER;
}

static struct kafka_acl take(const rd_kafka_AclBinding_t *acl)
{
	return (struct kafka_acl){
		.principal = mem_strdup(rd_kafka_AclBinding_principal(acl)),
		.name = mem_strdup(rd_kafka_AclBinding_name(acl)),
		.resource = resource_of(rd_kafka_AclBinding_restype(acl)),
		.prefixed = rd_kafka_AclBinding_resource_pattern_type(acl) == RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
		.allowed = rd_kafka_AclBinding_permission_type(acl) == RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW &&
			   strcmp(rd_kafka_AclBinding_host(acl), "*") == 0,
		.operation = (int)rd_kafka_AclBinding_operation(acl),
	};
}

/* Its name in the broker's words, which are for nobody without it. */
static int explain(struct err *err, rd_kafka_resp_err_t e, const char *text)
{
	if (e == RD_KAFKA_RESP_ERR_SECURITY_DISABLED)
		return err_set(err, ERR_FATAL,
			       "kafka: the broker has no authorizer, so everybody may do everything: set its "
			       "authorizer.class.name first");
	if (e == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
		return err_set(err, ERR_FATAL,
			       "kafka: this user may not look at rights, or change them: log in as an administrator "
			       "(alter and describe on the cluster)");
	return kafka_fail_as(err, e, "rights", text);
}

int kafka_acls_read(struct kafka_admin *admin, struct kafka_acls *ret, struct err *err)
{
	char text[KAFKA_ERRSTR];
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
	CLEANUP(destroy_filterp)
	rd_kafka_AclBindingFilter_t *all = rd_kafka_AclBindingFilter_new(
		RD_KAFKA_RESOURCE_ANY, NULL, RD_KAFKA_RESOURCE_PATTERN_ANY, NULL, NULL, RD_KAFKA_ACL_OPERATION_ANY,
		RD_KAFKA_ACL_PERMISSION_TYPE_ANY, text, sizeof(text));
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_AclBinding_t **list;
	size_t n;

	rd_kafka_DescribeAcls(kafka_admin_client(admin), all, options, kafka_admin_queue(admin));
	if (kafka_admin_await(admin, &event, err))
		return event ? explain(err, rd_kafka_event_error(event), rd_kafka_event_error_string(event)) : -1;
	list = rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(event), &n);
	ret->list = mem_zalloc(n + 1, sizeof(*ret->list));
	for (ret->count = 0; ret->count < n; ret->count++)
		ret->list[ret->count] = take(list[ret->count]);
	return 0;
}

/* --- writing --------------------------------------------------------------------------------------------------------- */

bool kafka_acls_can_create(enum kafka_resource resource)
{
	return resource != KAFKA_RESOURCE_TRANSACTIONAL_ID || rd_kafka_version() >= SINCE;
}

struct bindings {
	rd_kafka_AclBinding_t **list;
	size_t count;
};

static void release_bindings(struct bindings *bindings)
{
	rd_kafka_AclBinding_destroy_array(bindings->list, bindings->count);
	free(bindings->list);
}

static int bind_all(struct bindings *bindings, const struct kafka_acl *const *acls, unsigned count, struct err *err)
{
	char text[KAFKA_ERRSTR];

	for (unsigned i = 0; i < count; i++) {
		const struct kafka_acl *acl = acls[i];
		rd_kafka_AclBinding_t *binding = rd_kafka_AclBinding_new(
			resources[acl->resource].type, acl->name,
			acl->prefixed ? RD_KAFKA_RESOURCE_PATTERN_PREFIXED : RD_KAFKA_RESOURCE_PATTERN_LITERAL,
			acl->principal, "*", (rd_kafka_AclOperation_t)acl->operation,
			RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof(text));

		if (!binding)
			return err_set(err, ERR_FATAL, "kafka: right on %s %s: %s", kafka_resource_name(acl->resource),
				       acl->name, text);
		bindings->list[bindings->count++] = binding;
	}
	return 0;
}

int kafka_acls_create(struct kafka_admin *admin, const struct kafka_acl *const *acls, unsigned count, struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_CREATEACLS);
	CLEANUP(release_bindings)
	struct bindings bindings = { mem_zalloc((size_t)count + 1, sizeof(*bindings.list)), 0 };
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_acl_result_t **results;
	size_t n;

	if (count == 0)
		return 0;
	if (bind_all(&bindings, acls, count, err))
		return -1;
	rd_kafka_CreateAcls(kafka_admin_client(admin), bindings.list, bindings.count, options,
			    kafka_admin_queue(admin));
	if (kafka_admin_await(admin, &event, err))
		return event ? explain(err, rd_kafka_event_error(event), rd_kafka_event_error_string(event)) : -1;
	results = rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[i]);

		if (error)
			return explain(err, rd_kafka_error_code(error), rd_kafka_error_string(error));
	}
	return 0;
}
