#pragma once
/* The commands of run_control.c. */
int command_run_pause(int argc, char **argv);
int command_run_resume(int argc, char **argv);
int command_run_cancel(int argc, char **argv);
int command_run_retry(int argc, char **argv);
