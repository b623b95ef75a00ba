#pragma once
/* The guides' scripts, as commands. */
int command_data_quality_check(int argc, char **argv);
int command_health_check(int argc, char **argv);
