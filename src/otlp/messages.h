/* otlp/messages.h: the field numbers of the OTLP messages that are written and read (opentelemetry-proto 1.11), one
 * list for each message. A number never changes once published: fields are only added. */
#pragma once

enum { REQUEST_RESOURCE_GROUPS = 1 /* of all three requests: one for each resource */ };
enum { GROUP_RESOURCE = 1, GROUP_SCOPES = 2, GROUP_SCHEMA_URL = 3 }; /* ResourceSpans, ResourceMetrics, ResourceLogs */
enum { SCOPE_SCOPE = 1, SCOPE_ITEMS = 2, SCOPE_SCHEMA_URL = 3 };     /* ScopeSpans, ScopeMetrics, ScopeLogs */
enum { RESOURCE_ATTRIBUTES = 1 };
enum { INSTRUMENTATION_NAME = 1, INSTRUMENTATION_VERSION = 2 };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4, ANY_ARRAY = 5 };
enum { ARRAY_VALUES = 1 };

enum {
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_PARENT_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_EVENTS = 11,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16
};
enum { EVENT_TIME = 1, EVENT_NAME = 2 };
enum { KIND_INTERNAL = 1, KIND_SERVER = 2, KIND_CLIENT = 3 };
enum { FLAGS_REMOTE_KNOWN = 0x100, FLAGS_REMOTE = 0x200 }; /* of the parent; bits 0-7 are W3C's */
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };
enum { CODE_ERROR = 2 };

enum {
    LOG_TIME = 1,
    LOG_SEVERITY_NUMBER = 2,
    LOG_SEVERITY_TEXT = 3,
    LOG_BODY = 5,
    LOG_ATTRIBUTES = 6,
    LOG_FLAGS = 8,
    LOG_TRACE_ID = 9,
    LOG_SPAN_ID = 10,
    LOG_OBSERVED_TIME = 11,
    LOG_EVENT_NAME = 12
};

enum {
    METRIC_NAME = 1,
    METRIC_DESCRIPTION = 2,
    METRIC_UNIT = 3,
    METRIC_GAUGE = 5,
    METRIC_SUM = 7,
    METRIC_EXPONENTIAL = 10
};
enum { DATA_POINTS = 1, DATA_TEMPORALITY = 2, DATA_MONOTONIC = 3 }; /* of Gauge, Sum, ExponentialHistogram */
enum { TEMPORALITY_CUMULATIVE = 2 };
enum { NUMBER_START = 2, NUMBER_TIME = 3, NUMBER_DOUBLE = 4, NUMBER_INT = 6, NUMBER_ATTRIBUTES = 7 };
enum {
    EXPONENTIAL_ATTRIBUTES = 1,
    EXPONENTIAL_START = 2,
    EXPONENTIAL_TIME = 3,
    EXPONENTIAL_COUNT = 4,
    EXPONENTIAL_SUM = 5,
    EXPONENTIAL_SCALE = 6,
    EXPONENTIAL_ZERO_COUNT = 7,
    EXPONENTIAL_POSITIVE = 8,
    EXPONENTIAL_MAX = 13,
    EXPONENTIAL_ZERO_THRESHOLD = 14
};
enum { BUCKETS_OFFSET = 1, BUCKETS_COUNTS = 2 };

/* What a collector answers: Export…ServiceResponse, the same numbers for all three signals. */
enum { RESPONSE_PARTIAL_SUCCESS = 1 };
enum { PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };
