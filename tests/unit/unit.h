/* tests/unit/unit.h: what every unit test includes: cmocka and the headers it wants first. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
