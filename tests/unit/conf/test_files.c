/* Files that include files: merged, bounded, without circles; paths relative to where they stand. */
#include "loading.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static int directory_make(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/weir-conf-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int directory_remove(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void file_write(const char *name, const char *text, mode_t mode) {
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void subdirectory_make(const char *name) {
    assert_int_equal(mkdir(path_of(name), 0700), 0);
}

/* Messages with the directory's name taken out. */
static void expect_file(const char *name, const char *expected) {
    struct loading l = load_file(path_of(name));
    size_t n = strlen(directory) + 1;
    char prefix[80], *out = l.messages;
    snprintf(prefix, sizeof prefix, "%s/", directory);
    for (char *p = l.messages; *p != '\0';)
        if (strncmp(p, prefix, n) == 0)
            p += n;
        else
            *out++ = *p++;
    *out = '\0';
    if (strcmp(l.messages, expected) != 0) fail_msg("gave:\n%s-- not:\n%s", l.messages, expected);
    loading_end(&l);
}

static void what_cannot_be_read_is_told(void **state) {
    (void)state;
    expect_file("none.yaml", "cannot read none.yaml: No such file or directory\n");
    subdirectory_make("d.yaml");
    expect_file("d.yaml", "cannot read d.yaml: not a regular file\n");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    expect_file("pipe", "cannot read pipe: not a regular file\n");
    file_write("a.yaml", "log: {}\ninclude: [none.yaml]\n", 0600);
    expect_file("a.yaml", "a.yaml:2:11: cannot read none.yaml: no such file\n");
    file_write("a.yaml", "include: [\"none-*.yaml\"]\n", 0600);
    expect_file("a.yaml", "");
    file_write("a.yaml", "include: a\n", 0600);
    expect_file("a.yaml", "a.yaml:1:10: expected a list of files, such as [\"conf.d/*.yaml\"], not a plain value\n");
}

static void a_large_or_binary_file_is_refused(void **state) {
    (void)state;
    file_write("large.yaml", "", 0600);
    assert_int_equal(truncate(path_of("large.yaml"), 10 << 20), 0);
    file_write("a.yaml", "include: [large.yaml, binary.yaml]\n", 0600);
    file_write("binary.yaml",
               "\x7f"
               "ELF\x02\x01\x01",
               0600);
    expect_file("a.yaml", "a.yaml:1:11: cannot read large.yaml: larger than 4 MiB\n"
                          "binary.yaml:1:1: not a text file: control characters are not allowed\n");
}

static void circles_end_at_once(void **state) {
    (void)state;
    file_write("a.yaml", "include: [b.yaml]\n", 0600);
    file_write("b.yaml", "log: {}\ninclude: [a.yaml]\n", 0600);
    expect_file("a.yaml", "b.yaml:2:11: a.yaml includes itself\n");
    file_write("a.yaml", "include: [\"a.*\"]\n", 0600);
    expect_file("a.yaml", "a.yaml:1:11: a.yaml includes itself\n");
    file_write("a.yaml", "include: [c.yaml, c.yaml]\n", 0600);
    file_write("c.yaml", "log: {}\n", 0600);
    expect_file("a.yaml", "a.yaml:1:19: c.yaml is included twice\n");
}

static void depth_and_number_are_bounded(void **state) {
    (void)state;
    char name[32], text[64];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "n%d.yaml", i);
        snprintf(text, sizeof text, "include: [n%d.yaml]\n", i + 1);
        file_write(name, i < 11 ? text : "", 0600);
    }
    expect_file("n0.yaml", "n8.yaml:1:11: files include each other more than 8 deep\n");
    subdirectory_make("many");
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "many/%02d.yaml", i);
        file_write(name, "", 0600);
    }
    file_write("a.yaml", "include: [\"many/*.yaml\"]\n", 0600);
    expect_file("a.yaml", "a.yaml:1:11: more than 64 files\n");
}

static void sections_are_joined_and_lists_appended(void **state) {
    (void)state;
    subdirectory_make("conf.d");
    file_write("main.yaml", "http: {drain: 1s}\nlisten: [\"127.0.0.1:1\"]\ninclude: [\"conf.d/*.yaml\"]\n", 0600);
    file_write("conf.d/2.yaml", "listen: [\"127.0.0.1:3\"]\nprices: prices.json\n", 0600);
    file_write("conf.d/1.yaml", "http: {keepalive: 2s}\nlisten: [\"127.0.0.1:2\"]\ninclude: [\"../other.yaml\"]\n",
               0600);
    file_write("other.yaml", "listen: [{address: \"127.0.0.1:4\", tls: {certificate: tls/c.pem, key: /k.pem}}]\n",
               0600);
    struct loading l = load_file(path_of("main.yaml"));
    assert_string_equal(l.messages, "");
    assert_int_equal(l.config->http.drain_ns, 1000000000);
    assert_int_equal(l.config->http.keepalive_ns, 2000000000);
    static const uint64_t ports[] = {1, 2, 4, 3};
    assert_int_equal(l.config->listen.count, 4);
    for (size_t i = 0; i < 4; i++) assert_int_equal(l.config->listen.items[i].address.port_number, ports[i]);
    assert_string_equal(l.config->prices.text.p, path_of("conf.d/prices.json"));
    assert_string_equal(l.config->listen.items[2].tls.certificate.text.p, path_of("conf.d/../tls/c.pem"));
    assert_string_equal(l.config->listen.items[2].tls.key.text.p, "/k.pem");
    assert_string_equal(l.config->store.path.text.p, path_of("var/weir.db"));
    loading_end(&l);
}

static void the_same_key_in_two_files_names_both_places(void **state) {
    (void)state;
    file_write("a.yaml", "workers: 1\nhttp: {drain: 1s}\ntenants: {t: {disabled: on}}\ninclude: [b.yaml]\n", 0600);
    file_write("b.yaml", "workers: 2\nhttp: {drain: 1s}\ntenants: {t: {disabled: on}}\n", 0600);
    expect_file("a.yaml", "b.yaml:1:1: `workers` is already set in a.yaml:1:1\n"
                          "b.yaml:2:8: `http.drain` is already set in a.yaml:2:8\n"
                          "b.yaml:3:11: `tenants.t` is already set in a.yaml:3:11\n");
}

static void an_error_names_the_file_it_stands_in(void **state) {
    (void)state;
    file_write("a.yaml", "log: {levle: info}\ninclude: [b.yaml]\n", 0600);
    file_write("b.yaml", "\nhttp: {drian: 1s}\n", 0600);
    expect_file("a.yaml", "a.yaml:1:7: unknown key `levle`, did you mean `level`?\n"
                          "b.yaml:2:8: unknown key `drian`, did you mean `drain`?\n");
}

static void a_directory_with_wildcards_in_its_name_is_itself(void **state) {
    (void)state;
    subdirectory_make("x*[y]");
    file_write("x*[y]/a.yaml", "include: [\"b*.yaml\"]\n", 0600);
    file_write("x*[y]/b1.yaml", "workers: 3\n", 0600);
    struct loading l = load_file(path_of("x*[y]/a.yaml"));
    assert_string_equal(l.messages, "");
    assert_int_equal(l.config->workers, 3);
    loading_end(&l);
}

static void a_literal_secret_that_others_can_read_is_warned_about(void **state) {
    (void)state;
    setenv("CONF_TEST_KEY", "k", 1);
    const char *literal = PROVIDER(", headers: {OpenAI-Project: p, x-auth: a}");
    const char *told =
        "k.yaml:1:69: warning: a literal secret in a file that others can read: use ${NAME}, or chmod 600\n"
        "k.yaml:1:109: warning: a literal secret in a file that others can read: use ${NAME}, or chmod 600\n";
    file_write("k.yaml", literal, 0600);
    expect_file("k.yaml", "");
    file_write("k.yaml", literal, 0640);
    expect_file("k.yaml", told);
    file_write("k.yaml", literal, 0604);
    expect_file("k.yaml", told);
    file_write("k.yaml",
               "providers: {p: {dialect: openai, base_url: \"https://h/v1\", api_key: \"${CONF_TEST_KEY}\"}}\n", 0644);
    expect_file("k.yaml", "");
}

static void a_text_in_memory_includes_nothing(void **state) {
    (void)state;
    expect_messages("include: [\"/etc/*\"]\n", "t:1:11: `include` needs a file that it is relative to\n");
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_make, directory_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(what_cannot_be_read_is_told),
        IN_DIRECTORY(a_large_or_binary_file_is_refused),
        IN_DIRECTORY(circles_end_at_once),
        IN_DIRECTORY(depth_and_number_are_bounded),
        IN_DIRECTORY(sections_are_joined_and_lists_appended),
        IN_DIRECTORY(the_same_key_in_two_files_names_both_places),
        IN_DIRECTORY(an_error_names_the_file_it_stands_in),
        IN_DIRECTORY(a_directory_with_wildcards_in_its_name_is_itself),
        IN_DIRECTORY(a_literal_secret_that_others_can_read_is_warned_about),
        cmocka_unit_test(a_text_in_memory_includes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
