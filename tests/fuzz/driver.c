/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target without a fuzzer: over files, to repeat a finding, or over N random inputs of one seed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LONGEST 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static uint8_t bytes[1 << 20];

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		perror(path);
		return 1;
	}
	LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof bytes, file));
	fclose(file);
	return 0;
}

/* splitmix64: good enough, and the same everywhere. */
static uint64_t random_of(uint64_t *statep)
{
	uint64_t z = *statep += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static int run_random(uint64_t n, uint64_t seed)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t state = seed + i;
		size_t len = random_of(&state) % LONGEST;

		for (size_t j = 0; j < len; j++)
			bytes[j] = (uint8_t)random_of(&state);
		LLVMFuzzerTestOneInput(bytes, len);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char *end;

	if (argc < 2) {
		fprintf(stderr, "usage: %s N [SEED] | FILE...\n", argv[0]);
		return 2;
	}
	uint64_t n = strtoull(argv[1], &end, 10);
	if (*end == '\0')
		return run_random(n, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	for (int i = 1; i < argc; i++)
		if (run_file(argv[i]) != 0)
			return 1;
	return 0;
}
