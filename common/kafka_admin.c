#include "common/kafka_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/kafka_internal.h"
#include "common/mem.h"

#define REQUEST_TIMEOUT_MS 10000

struct kafka_admin {
	const struct config *cfg;
	bool reached; /* a broker answered: what refuses it from now on may be mended */
	rd_kafka_t *rk;
	rd_kafka_t
		*stable; /* the same, for which a partition ends before the first open transaction; opened when asked */
	rd_kafka_queue_t *queue;
};

int kafka_admin_open(struct kafka_admin **ret, const struct config *cfg, struct err *err)
{
	CLEANUP(kafka_admin_freep) struct kafka_admin *admin = mem_zalloc(1, sizeof(*admin));

	admin->cfg = cfg;
	if (kafka_client_new(&admin->rk, cfg, "read_uncommitted", err))
		return -1;
	admin->queue = rd_kafka_queue_new(admin->rk);
	*ret = STEAL(admin);
	return 0;
}

void kafka_admin_freep(struct kafka_admin **admin)
{
	if (!*admin)
		return;
	if ((*admin)->queue)
		rd_kafka_queue_destroy((*admin)->queue);
	kafka_client_freep(&(*admin)->rk);
	kafka_client_freep(&(*admin)->stable);
	free(*admin);
	*admin = NULL;
}

static void destroy_optionsp(rd_kafka_AdminOptions_t **options)
{
	rd_kafka_AdminOptions_destroy(*options);
}

static void destroy_eventp(rd_kafka_event_t **event)
{
	if (*event)
		rd_kafka_event_destroy(*event);
}

rd_kafka_AdminOptions_t *kafka_admin_options(struct kafka_admin *admin, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->rk, op);
	char text[KAFKA_ERRSTR];

	rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_TIMEOUT_MS, text, sizeof(text));
	return options;
}

rd_kafka_t *kafka_admin_client(struct kafka_admin *admin)
{
	return admin->rk;
}

rd_kafka_queue_t *kafka_admin_queue(struct kafka_admin *admin)
{
	return admin->queue;
}

int kafka_admin_await(struct kafka_admin *admin, rd_kafka_event_t **ret, struct err *err)
{
	*ret = rd_kafka_queue_poll(admin->queue, 2 * REQUEST_TIMEOUT_MS);
	if (!*ret)
		return kafka_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer within %d s",
				  2 * REQUEST_TIMEOUT_MS / 1000);
	if (rd_kafka_event_error(*ret))
		return kafka_fail_as(err, rd_kafka_event_error(*ret), "admin call", rd_kafka_event_error_string(*ret));
	return 0;
}

/* --- topics ---------------------------------------------------------------------------------------------------------- */

static void destroy_new_topicp(rd_kafka_NewTopic_t **topic)
{
	if (*topic)
		rd_kafka_NewTopic_destroy(*topic);
}

static enum err_kind creation_kind(rd_kafka_resp_err_t e)
{
	switch (e) {
	case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
	case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
	case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		return ERR_FATAL;
	default:
		return ERR_RETRY;
	}
}

int kafka_admin_create(struct kafka_admin *admin, const struct kafka_topic_spec *spec, struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	CLEANUP(destroy_new_topicp) rd_kafka_NewTopic_t *topic = NULL;
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_topic_result_t **results;
	char text[KAFKA_ERRSTR];
	rd_kafka_resp_err_t e;
	size_t n;

	topic = rd_kafka_NewTopic_new(spec->name, spec->partitions, spec->replication, text, sizeof(text));
	if (!topic)
		return err_set(err, ERR_FATAL, "kafka: topic %s: %s", spec->name, text);
	for (unsigned i = 0; spec->config[i]; i += 2)
		rd_kafka_NewTopic_set_config(topic, spec->config[i], spec->config[i + 1]);
	rd_kafka_CreateTopics(admin->rk, &topic, 1, options, admin->queue);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "creating topic %s", spec->name);
	results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	e = n ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR_NO_ERROR;
	if (e && e != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return err_set(err, creation_kind(e), "kafka: creating topic %s: %s", spec->name,
			       rd_kafka_topic_result_error_string(results[0]));
	return 0;
}

static void destroy_metadatap(const struct rd_kafka_metadata **metadata)
{
	if (*metadata)
		rd_kafka_metadata_destroy(*metadata);
}

static int read_metadata(struct kafka_admin *admin, const struct rd_kafka_metadata **ret, struct err *err)
{
	int r = kafka_metadata(admin->rk, true, REQUEST_TIMEOUT_MS, ret, err);

	if (r && admin->reached)
		err->kind = ERR_RETRY;
	admin->reached |= r == 0;
	return r;
}

/* 0 where there is no such topic. */
static int32_t partitions_of(const struct rd_kafka_metadata *metadata, const char *topic)
{
	for (int i = 0; i < metadata->topic_cnt; i++)
		if (strcmp(metadata->topics[i].topic, topic) == 0)
			return metadata->topics[i].partition_cnt;
	return 0;
}

int kafka_admin_partitions(struct kafka_admin *admin, const char *topic, int32_t *ret_partitions, struct err *err)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;

	*ret_partitions = 0;
	if (read_metadata(admin, &metadata, err))
		return -1;
	*ret_partitions = partitions_of(metadata, topic);
	return 0;
}

static void destroy_resourcep(rd_kafka_ConfigResource_t **resource)
{
	rd_kafka_ConfigResource_destroy(*resource);
}

int kafka_admin_topic_config(struct kafka_admin *admin, const char *topic, const char *name,
			     char value[KAFKA_CONFIG_VALUE_MAX], struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	CLEANUP(destroy_resourcep)
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t n, count = 0;

	value[0] = '\0';
	rd_kafka_DescribeConfigs(admin->rk, &resource, 1, options, admin->queue);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "configuration of topic %s", topic);
	resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
	entries = n ? rd_kafka_ConfigResource_configs(resources[0], &count) : NULL;
	for (size_t i = 0; i < count; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0 && rd_kafka_ConfigEntry_value(entries[i]))
			strncpy(value, rd_kafka_ConfigEntry_value(entries[i]), KAFKA_CONFIG_VALUE_MAX - 1);
	return 0;
}

struct resources {
	rd_kafka_ConfigResource_t **list;
	size_t count;
};

static void release_resources(struct resources *resources)
{
	rd_kafka_ConfigResource_destroy_array(resources->list, resources->count);
	free(resources->list);
}

static struct kafka_topic_settings *settings_of(struct kafka_topic_settings *topics, unsigned count, const char *topic)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(topics[i].topic, topic) == 0)
			return &topics[i];
	return NULL;
}

static void take_settings(const rd_kafka_ConfigResource_t *resource, const char *const *names, unsigned name_count,
			  struct kafka_topic_settings *ret)
{
	size_t count = 0;
	const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);

	for (size_t i = 0; i < count; i++)
		for (unsigned n = 0; n < name_count; n++)
			if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), names[n]) == 0 &&
			    rd_kafka_ConfigEntry_value(entries[i]))
				snprintf(ret->values[n], sizeof(ret->values[n]), "%s",
					 rd_kafka_ConfigEntry_value(entries[i]));
}

static int read_settings(struct kafka_admin *admin, struct kafka_topic_settings *topics, unsigned count,
			 const char *const *names, unsigned name_count, struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	CLEANUP(release_resources) struct resources asked = { mem_zalloc(count, sizeof(*asked.list)), 0 };
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_ConfigResource_t **answers;
	size_t n;

	for (unsigned i = 0; i < count; i++)
		if (topics[i].partitions > 0)
			asked.list[asked.count++] =
				rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i].topic);
	if (asked.count == 0)
		return 0;
	rd_kafka_DescribeConfigs(admin->rk, asked.list, asked.count, options, admin->queue);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "configuration of the topics");
	answers = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		struct kafka_topic_settings *topic =
			settings_of(topics, count, rd_kafka_ConfigResource_name(answers[i]));

		if (topic)
			take_settings(answers[i], names, name_count, topic);
	}
	return 0;
}

int kafka_admin_topic_settings(struct kafka_admin *admin, struct kafka_topic_settings *topics, unsigned count,
			       const char *const *names, unsigned name_count, struct err *err)
{
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;

	if (read_metadata(admin, &metadata, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		topics[i].partitions = partitions_of(metadata, topics[i].topic);
	return read_settings(admin, topics, count, names, name_count, err);
}

/* --- offsets of groups ----------------------------------------------------------------------------------------------- */

static void destroy_listp(rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_partition_list_destroy(*list);
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_offset *offsets, unsigned count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
			offsets[i].offset;
	return list;
}

static int check_group_result(const rd_kafka_group_result_t *result, const char *group, struct err *err)
{
	const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(result);

	if (rd_kafka_group_result_error(result))
		return err_set(err, ERR_RETRY, "kafka: offsets of group %s: %s", group,
			       rd_kafka_error_string(rd_kafka_group_result_error(result)));
	for (int i = 0; list && i < list->cnt; i++)
		if (list->elems[i].err)
			return err_set(err, ERR_RETRY, "kafka: offset of group %s at %s [%d]: %s", group,
				       list->elems[i].topic, list->elems[i].partition,
				       rd_kafka_err2str(list->elems[i].err));
	return 0;
}

static void take_offsets(const rd_kafka_topic_partition_list_t *list, struct kafka_offset *offsets, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_find(
			(rd_kafka_topic_partition_list_t *)list, offsets[i].topic, offsets[i].partition);

		offsets[i].offset = p && p->offset >= 0 ? p->offset : KAFKA_OFFSET_NONE;
	}
}

int kafka_admin_offsets(struct kafka_admin *admin, const char *group, struct kafka_offset *offsets, unsigned count,
			struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = list_of(offsets, count);
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	rd_kafka_ListConsumerGroupOffsets_t *request = rd_kafka_ListConsumerGroupOffsets_new(group, list);
	const rd_kafka_group_result_t **results;
	size_t n;

	rd_kafka_ListConsumerGroupOffsets(admin->rk, &request, 1, options, admin->queue);
	rd_kafka_ListConsumerGroupOffsets_destroy(request);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "offsets of group %s", group);
	results = rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event),
								  &n);
	if (n == 0)
		return err_set(err, ERR_RETRY, "kafka: offsets of group %s: no answer", group);
	if (check_group_result(results[0], group, err))
		return -1;
	take_offsets(rd_kafka_group_result_partitions(results[0]), offsets, count);
	return 0;
}

int kafka_admin_set_offsets(struct kafka_admin *admin, const char *group, const struct kafka_offset *offsets,
			    unsigned count, struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = list_of(offsets, count);
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	rd_kafka_AlterConsumerGroupOffsets_t *request = rd_kafka_AlterConsumerGroupOffsets_new(group, list);
	const rd_kafka_group_result_t **results;
	size_t n;

	rd_kafka_AlterConsumerGroupOffsets(admin->rk, &request, 1, options, admin->queue);
	rd_kafka_AlterConsumerGroupOffsets_destroy(request);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "offsets of group %s", group);
	results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
		rd_kafka_event_AlterConsumerGroupOffsets_result(event), &n);
	return n ? check_group_result(results[0], group, err) : 0;
}

int kafka_admin_members(struct kafka_admin *admin, const char *group, unsigned *ret_members, struct err *err)
{
	CLEANUP(destroy_optionsp)
	rd_kafka_AdminOptions_t *options = kafka_admin_options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
	CLEANUP(destroy_eventp) rd_kafka_event_t *event = NULL;
	const rd_kafka_ConsumerGroupDescription_t **groups;
	size_t n;

	*ret_members = 0;
	rd_kafka_DescribeConsumerGroups(admin->rk, &group, 1, options, admin->queue);
	if (kafka_admin_await(admin, &event, err))
		return err_wrap(err, "members of group %s", group);
	groups = rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &n);
	if (n == 0)
		return 0;
	if (rd_kafka_ConsumerGroupDescription_error(groups[0])) {
		const rd_kafka_error_t *e = rd_kafka_ConsumerGroupDescription_error(groups[0]);

		if (rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND)
			return 0;
		return err_set(err, ERR_RETRY, "kafka: members of group %s: %s", group, rd_kafka_error_string(e));
	}
	*ret_members = (unsigned)rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
	return 0;
}

/* --- edges of partitions --------------------------------------------------------------------------------------------- */

static int take_edges(const rd_kafka_topic_partition_list_t *list, struct kafka_offset *places, unsigned count,
		      struct err *err)
{
	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].err)
			return err_set(err, ERR_RETRY, "kafka: offsets of %s [%d]: %s", list->elems[i].topic,
				       list->elems[i].partition, rd_kafka_err2str(list->elems[i].err));
	take_offsets(list, places, count);
	return 0;
}

static rd_kafka_t *client_for(struct kafka_admin *admin, enum kafka_edge edge, struct err *err)
{
	if (edge != KAFKA_STABLE)
		return admin->rk;
	if (!admin->stable && kafka_client_new(&admin->stable, admin->cfg, "read_committed", err))
		return NULL;
	return admin->stable;
}

int kafka_admin_edges(struct kafka_admin *admin, enum kafka_edge edge, struct kafka_offset *places, unsigned count,
		      struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	CLEANUP(destroy_metadatap) const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_t *client = client_for(admin, edge, err);
	rd_kafka_resp_err_t e;

	if (!client)
		return -1;
	/* A partition that is not there would be asked for until the time is up. */
	if (read_metadata(admin, &metadata, err))
		return -1;
	for (unsigned i = 0; i < count; i++)
		if (places[i].partition < partitions_of(metadata, places[i].topic) &&
		    !rd_kafka_topic_partition_list_find(list, places[i].topic, places[i].partition))
			rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition)->offset =
				edge == KAFKA_LOW ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
	e = list->cnt ? rd_kafka_offsets_for_times(client, list, REQUEST_TIMEOUT_MS) : RD_KAFKA_RESP_ERR_NO_ERROR;
	if (e)
		return err_set(err, ERR_RETRY, "kafka: where partitions begin and end: %s", rd_kafka_err2str(e));
	return take_edges(list, places, count, err);
}

int kafka_admin_offsets_since(struct kafka_admin *admin, int64_t time_ms, struct kafka_offset *places, unsigned count,
			      struct err *err)
{
	CLEANUP(destroy_listp) rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	rd_kafka_resp_err_t e;

	for (unsigned i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition)->offset = time_ms;
	e = rd_kafka_offsets_for_times(admin->rk, list, REQUEST_TIMEOUT_MS);
	if (e)
		return err_set(err, ERR_RETRY, "kafka: where a time begins in partitions: %s", rd_kafka_err2str(e));
	return take_edges(list, places, count, err);
}
