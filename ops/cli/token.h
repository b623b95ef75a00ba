#pragma once
int command_token_create(int argc, char **argv);
int command_token_revoke(int argc, char **argv);
