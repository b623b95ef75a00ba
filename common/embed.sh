#!/bin/sh
# Prints C that compiles the named files into the binary, found again with embed_find().
set -eu
echo '#include "common/embed.h"'
n=0
for f in "$@"; do
	n=$((n + 1))
	cat <<-EOF
	__asm__(".section .rodata\nembedded_$n: .incbin \"$f\"\nembedded_${n}_end: .byte 0\n.previous\n");
	extern const char embedded_$n[], embedded_${n}_end[];
	EOF
done
echo 'const struct embedded embedded_files[] = {'
n=0
for f in "$@"; do
	n=$((n + 1))
	echo "	{ \"$f\", embedded_$n, embedded_${n}_end },"
done
printf '\t{ 0 },\n};\n'
