#pragma once
/* The guides' scripts, as commands; and what a supervisor without a shell asks. */
int command_data_quality_check(int argc, char **argv);
int command_health_check(int argc, char **argv);
int command_ready(int argc, char **argv);
