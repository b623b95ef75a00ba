#pragma once
/* penstock-simulator --listen: the vendor's HTTP interface until a signal ends it. Returns the exit code. */
int serve(int argc, char **argv);
