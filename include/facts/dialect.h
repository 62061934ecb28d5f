/* facts/dialect.h: whose API is spoken, and how its credentials travel. */
#pragma once

enum dialect { DIALECT_OPENAI, DIALECT_ANTHROPIC, DIALECT_GEMINI, DIALECT_COUNT };
enum auth { AUTH_BEARER, AUTH_X_API_KEY, AUTH_API_KEY, AUTH_X_GOOG_API_KEY, AUTH_NONE, AUTH_COUNT };

const char *dialect_name(enum dialect d); /* "openai" … */
const char *auth_name(enum auth a);       /* "bearer" … as in the configuration */
const char *auth_header(enum auth a);     /* "authorization" …; NULL for none */
enum auth dialect_default_auth(enum dialect d);
