#pragma once
/* The command of breaker.c; `breaker ls` is in listings.c. */
int command_breaker_reset(int argc, char **argv);
