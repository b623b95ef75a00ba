#include "ops/simulator/market/chance.h"

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
uint64_t chance_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

uint64_t chance_of_text(uint64_t key, struct str text)
{
	for (uint32_t i = 0; i < text.len; i++)
		key = chance(key, (uint8_t)text.data[i]);
	return key;
}
