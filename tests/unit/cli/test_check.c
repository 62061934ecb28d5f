/* weir check: what it prints where, and its exit status. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"

static char directory[64];
static char out[65536], err[65536];

static int directory_make(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/weir-check-XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int directory_remove(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return chdir("/") != 0 || system(command);
}

static void file_write(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(name, 0600), 0);
}

static void file_read(const char *name, char *text, size_t bytes) {
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    text[fread(text, 1, bytes - 1, f)] = '\0';
    fclose(f);
}

/* Runs the command with its output going to `out` and `err`. */
static int check(char *const *arguments, int count) {
    char *argv[8] = {(char *)"check"};
    for (int i = 0; i < count; i++) argv[i + 1] = arguments[i];
    int kept[2] = {dup(1), dup(2)};
    fflush(NULL);
    assert_non_null(freopen("out", "w", stdout));
    assert_non_null(freopen("err", "w", stderr));
    int status = cli_check(count + 1, argv);
    fflush(NULL);
    dup2(kept[0], 1);
    dup2(kept[1], 2);
    close(kept[0]);
    close(kept[1]);
    file_read("out", out, sizeof out);
    file_read("err", err, sizeof err);
    return status;
}
#define CHECK(...) check((char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *))

static void a_good_file_is_ok(void **state) {
    (void)state;
    file_write("a.yaml", "log: {level: warn}\n");
    assert_int_equal(CHECK("-c", "a.yaml"), 0);
    assert_string_equal(out, "a.yaml: ok\n");
    assert_string_equal(err, "");
}

static void warnings_do_not_fail(void **state) {
    (void)state;
    file_write("a.yaml", "store: {enabled: off}\n");
    assert_int_equal(CHECK("--config", "a.yaml"), 0);
    assert_string_equal(out, "a.yaml: ok\n");
    assert_string_equal(err, "a.yaml:1:1: warning: `store` is not built yet: it is checked, but has no effect in this "
                             "version\n");
}

static void every_error_is_told_and_the_status_is_1(void **state) {
    (void)state;
    file_write("weir.yaml", "log: {level: loud}\nhttp: {drain: 1}\n");
    assert_int_equal(check(NULL, 0), 1);
    assert_string_equal(out, "");
    assert_string_equal(err, "weir.yaml:1:14: not one of: debug info warn error\n"
                             "weir.yaml:2:15: expected a duration, such as 250ms, 30s, 5m, 12h or 30d\n");
    assert_int_equal(CHECK("-c", "none.yaml"), 1);
    assert_string_equal(err, "cannot read none.yaml: No such file or directory\n");
}

static void files_that_are_named_must_be_good_too(void **state) {
    (void)state;
    file_write("a.yaml",
               "prices: none.json\nlisten:\n  - address: 127.0.0.1:0\n    tls: {certificate: c.pem, key: k.pem}\n"
               "providers:\n  p: {dialect: openai, auth: none, base_url: \"https://h/v1\", tls: {ca: ca.pem}}\n");
    assert_int_equal(CHECK("-c", "a.yaml"), 1);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "a.yaml:1:9: "));
    assert_non_null(strstr(err, "a.yaml:4:24: "));
    assert_non_null(strstr(err, "a.yaml:6:"));
}

static void print_goes_to_stdout_without_secrets(void **state) {
    (void)state;
    file_write("a.yaml", "admin: {token: tops3cret-0123456789}\n");
    assert_int_equal(CHECK("-c", "a.yaml", "--print"), 0);
    assert_non_null(strstr(out, "admin.token: •••  # a.yaml:1:16\n"));
    assert_non_null(strstr(out, "http.drain: 30s  # default\n"));
    assert_null(strstr(out, "tops3cret"));
    assert_string_equal(err, "a.yaml: ok\n");
}

static void bad_usage_is_status_2(void **state) {
    (void)state;
    assert_int_equal(CHECK("-c"), 2);
    assert_int_equal(CHECK("a.yaml"), 2);
    assert_int_equal(CHECK("--bogus"), 2);
    assert_string_equal(out, "");
    assert_int_equal(CHECK("--help"), 0);
    assert_string_equal(err, "");
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_make, directory_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_good_file_is_ok),
        IN_DIRECTORY(warnings_do_not_fail),
        IN_DIRECTORY(every_error_is_told_and_the_status_is_1),
        IN_DIRECTORY(files_that_are_named_must_be_good_too),
        IN_DIRECTORY(print_goes_to_stdout_without_secrets),
        IN_DIRECTORY(bad_usage_is_status_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
