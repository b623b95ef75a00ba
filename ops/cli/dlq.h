#pragma once
/* What is done with dead letters beyond showing them; the API has them. */
int command_dlq_watch(int argc, char **argv);
int command_dlq_export(int argc, char **argv);
int command_dlq_review(int argc, char **argv);
int command_quarantine_analyze(int argc, char **argv);
