// What a benchmark cannot go on without: says which condition failed and where, and ends with status 2. In: a condition. Owns nothing.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(what) \
    if (!(what)) std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what), std::exit(2)
