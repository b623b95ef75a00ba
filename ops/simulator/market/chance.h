#pragma once
/* Chance without a state: the same arguments give the same number on every machine. */
#include <stdint.h>

#include "common/str.h"

uint64_t chance_mix(uint64_t z);

/* Many keys from one: chance(key, place). */
static inline uint64_t chance(uint64_t key, uint64_t place)
{
	return chance_mix(key ^ (place * UINT64_C(0x9E3779B97F4A7C15) + UINT64_C(0xD1342543DE82EF95)));
}

/* 0..bound-1 of a number; the bias is far below what prices show. */
static inline uint32_t chance_below(uint64_t number, uint32_t bound)
{
	return (uint32_t)((number >> 32) * bound >> 32);
}

uint64_t chance_of_text(uint64_t key, struct str text);
