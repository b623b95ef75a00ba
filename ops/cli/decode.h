#pragma once
/*
 * `penstock decode FILE...`: what stands in DBN files, as JSON lines on
 * standard output. argv[0] is the command's own name. Returns an exit code.
 */
int command_decode(int argc, char **argv);
