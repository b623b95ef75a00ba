#pragma once
/*
 * Single-owner handles: CLEANUP(fn) runs fn(&variable) when the variable
 * leaves its scope. STEAL hands ownership out and disarms the clean-up.
 */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define STEAL(var) \
	({ \
		__typeof__(var) stolen_ = (var); \
		(var) = NULL; \
		stolen_; \
	})

/* CLEANUP(freep) char *text: free() for anything malloc'd. */
static inline void freep(void *p)
{
	__builtin_free(*(void **)p);
}
