#pragma once
/* The simulator's HTTP server: a thread per connection, because slow bodies wait. */
#include "ops/simulator/vendor/simulator.h"

struct server;

/* Listens on the options' address. ERR_FATAL: it is none, or taken. */
int server_open(struct server **ret, struct simulator *simulator, struct err *err);
void server_freep(struct server **server);
int server_port(const struct server *server);
