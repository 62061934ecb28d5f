/* TLS connections: who is trusted, that bytes survive, what an end means, that sessions resume. Client and server run
 * on one loop over loopback TCP. */
#include "net_fixture.h"

#include <openssl/ssl.h>

#include "certificates.h"
#include "crypto/tls_context.h"
#include "tls.h"

static struct issued authority, good, expired, self_signed, wildcard;
static struct tls_context *client_context;

static struct tls_context *server_of(const struct issued *i) {
    char error[256] = "";
    struct tls_context *t = tls_server_new(i->certificate_file, i->key_file, error, sizeof error);
    if (t == NULL) fail_msg("%s", error);
    return t;
}

static int group_setup(void **state) {
    (void)state;
    certificates_begin();
    authority = issue("authority", NULL, NULL, 10);
    good = issue("good", &authority, "DNS:provider.test,IP:127.0.0.1,IP:::1", 10);
    expired = issue("expired", &authority, "DNS:provider.test", -1);
    self_signed = issue("self", NULL, "DNS:provider.test", 10);
    wildcard = issue("wildcard", &authority, "DNS:*.provider.test,DNS:pre*.partial.test", 10);
    return 0;
}

static int group_teardown(void **state) {
    (void)state;
    struct issued *const all[] = {&authority, &good, &expired, &self_signed, &wildcard};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) issued_clear(all[i]);
    rmdir(certificates_dir);
    return 0;
}

static int tls_setup(void **state) {
    char error[256];
    fixture_setup(state);
    client_context = tls_client_new(authority.certificate_file, true, error, sizeof error);
    assert_non_null(client_context);
    return 0;
}

static int tls_teardown(void **state) {
    fixture_teardown(state);
    tls_context_unref(client_context);
    return 0;
}

/* Connects a client to a server over loopback; both are driven by the test's loop. */
static void open_both(struct probe *client, struct probe *server, struct tls_context *from, struct tls_context *to,
                      const char *host) {
    struct sockaddr_in address;
    int listening = loopback_listener(&address);
    *client = *server = (struct probe){0};
    client->c = conn_connect(loop, (struct sockaddr *)&address, sizeof address, from, host, &probe_ops, client);
    int fd = accept(listening, NULL, NULL);
    assert_true(fd >= 0);
    fd_nonblocking(fd);
    server->c = conn_accept(loop, fd, to, &probe_ops, server);
    close(listening);
}

static void open_ready(struct probe *client, struct probe *server, struct tls_context *to) {
    open_both(client, server, client_context, to, "provider.test");
    client->stop_on = "Rrtx";
    RUN();
    assert_string_equal(client->log, "R");
    while (server->logged == 0) RUN_MS(2);
    assert_string_equal(server->log, "R");
}

static void refused(const struct issued *certificate, const char *host, const char *reason) {
    struct tls_context *to = server_of(certificate);
    struct probe client, server;
    open_both(&client, &server, client_context, to, host);
    client.stop_on = "Rrtx";
    RUN();
    assert_string_equal(client.log, "t");
    assert_string_equal(client.error, reason);
    RUN_MS(20);
    assert_true(server.logged == 1);
    assert_true(server.log[0] == 't' || server.log[0] == 'r');
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void peers_that_are_not_who_they_should_be_are_refused(void **state) {
    (void)state;
    refused(&good, "other.test", "hostname mismatch");
    refused(&good, "127.0.0.2", "IP address mismatch");
    refused(&expired, "provider.test", "certificate has expired");
    refused(&self_signed, "provider.test", "self-signed certificate");
    refused(&wildcard, "provider.test", "hostname mismatch");
    refused(&wildcard, "prefix.partial.test", "hostname mismatch");
    refused(&wildcard, "a.b.provider.test", "hostname mismatch");
}

static void accepted(const struct issued *certificate, struct tls_context *from, const char *host,
                     const char *sent_name) {
    struct tls_context *to = server_of(certificate);
    struct probe client, server;
    open_both(&client, &server, from, to, host);
    client.stop_on = "Rrtx";
    RUN();
    assert_string_equal(client.log, "R");
    while (server.logged == 0) RUN_MS(2);
    const char *name = SSL_get_servername(server.c->tls->ssl, TLSEXT_NAMETYPE_host_name);
    if (sent_name == NULL)
        assert_null(name);
    else
        assert_string_equal(name, sent_name);
    assert_int_equal(SSL_version(client.c->tls->ssl), TLS1_3_VERSION);
    assert_true(client.c->ready_ns >= client.c->connected_ns);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void peers_that_prove_their_name_are_accepted(void **state) {
    (void)state;
    char error[256];
    accepted(&good, client_context, "provider.test", "provider.test");
    accepted(&good, client_context, "provider.test.", "provider.test");
    accepted(&good, client_context, "127.0.0.1", NULL);
    accepted(&wildcard, client_context, "api.provider.test", "api.provider.test");
    struct tls_context *trusting = tls_client_new(NULL, false, error, sizeof error);
    accepted(&self_signed, trusting, "whoever.test", "whoever.test");
    tls_context_unref(trusting);
}

static void versions_before_1_2_are_refused(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    SSL_CTX_set_min_proto_version(tls_context_ssl(client_context), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(tls_context_ssl(client_context), TLS1_1_VERSION);
    SSL_CTX_set_security_level(tls_context_ssl(client_context), 0);
    struct probe client, server;
    open_both(&client, &server, client_context, to, "provider.test");
    client.stop_on = "Rrtx";
    RUN();
    assert_string_equal(client.log, "t");
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void plain_bytes_to_a_tls_server_are_a_tls_failure(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    int fd[2];
    tcp_pair(fd);
    struct probe server = {.stop_on = "rtx"};
    server.c = conn_accept(loop, fd[1], to, &probe_ops, &server);
    send(fd[0], "GET / HTTP/1.1\r\n\r\n", 18, 0);
    RUN();
    assert_string_equal(server.log, "t");
    assert_string_equal(server.error, "http request");
    close(fd[0]);
    tcp_pair(fd);
    server = (struct probe){.stop_on = "rtx"};
    server.c = conn_accept(loop, fd[1], to, &probe_ops, &server);
    send(fd[0], "\x16\x03\x01", 3, 0);
    close(fd[0]);
    RUN();
    assert_string_equal(server.log, "t");
    tls_context_unref(to);
}

/* ---- data ---- */

static void stream_both_ways(int version, size_t piece_max, size_t take_max) {
    struct tls_context *to = server_of(&good);
    SSL_CTX_set_max_proto_version(tls_context_ssl(to), version);
    struct probe client, server;
    open_ready(&client, &server, to);
    size_t n = piece_max == 1 ? 2000 : 700000, sent = 0;
    char *bytes = pattern_new(n);
    unsigned seed = 5;
    server.echo = true;
    client.stop_on = server.stop_on = NULL;
    for (int i = 0; i < 20000 && buf_length(&client.got) < n; i++) {
        struct iovec pieces[3];
        int count = 0;
        while (count < 3 && sent < n && conn_queued_bytes(client.c) < CONN_HIGH_BYTES) {
            size_t cut = 1 + (size_t)rand_r(&seed) % piece_max;
            if (cut > n - sent) cut = n - sent;
            pieces[count++] = (struct iovec){bytes + sent, cut};
            sent += cut;
        }
        client.downward = true;
        assert_int_not_equal(conn_send(client.c, pieces, count), SEND_FAILED);
        client.downward = false;
        client.take_max = server.take_max = take_max > 0 ? 1 + (size_t)rand_r(&seed) % take_max : 0;
        conn_read_resume(client.c);
        conn_read_resume(server.c);
        RUN_MS(0);
    }
    assert_int_equal(buf_length(&client.got), n);
    assert_memory_equal(client.got.data + client.got.start, bytes, n);
    assert_int_equal(client.c->bytes_out, n);
    assert_int_equal(server.c->bytes_in, n);
    mem_free(bytes);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void bytes_survive_both_ways_whole_bytewise_and_cut(void **state) {
    (void)state;
    stream_both_ways(TLS1_3_VERSION, 200000, 0);
    stream_both_ways(TLS1_3_VERSION, 1, 0);
    stream_both_ways(TLS1_3_VERSION, 30000, 9000);
    stream_both_ways(TLS1_2_VERSION, 30000, 9000);
}

static void ciphertext_may_come_byte_by_byte(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    int near[2], far[2]; /* client - near - test - far - server */
    tcp_pair(near);
    tcp_pair(far);
    struct probe client = {0}, server = {.echo = true};
    struct sockaddr_in address;
    int listening = loopback_listener(&address);
    client.c = conn_connect(loop, (struct sockaddr *)&address, sizeof address, client_context, "provider.test",
                            &probe_ops, &client);
    int to_client = accept(listening, NULL, NULL);
    fd_nonblocking(to_client);
    server.c = conn_accept(loop, far[1], to, &probe_ops, &server);
    conn_send_slice(client.c, SLICE("sent before the handshake"));
    for (int i = 0; i < 60000 && buf_length(&client.got) < 25; i++) {
        char byte;
        if (recv(to_client, &byte, 1, 0) == 1) assert_int_equal(send(far[0], &byte, 1, 0), 1);
        if (recv(far[0], &byte, 1, 0) == 1) assert_int_equal(send(to_client, &byte, 1, 0), 1);
        RUN_MS(0);
    }
    assert_int_equal(buf_length(&client.got), 25);
    assert_string_equal(server.log, "RB");
    assert_memory_equal(client.log, "RD", 2);
    close(to_client);
    close(listening);
    close(near[0]);
    close(near[1]);
    close(far[0]);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void back_pressure_says_over_and_drained(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    size_t n = 8 << 20;
    char *bytes = pattern_new(n);
    conn_read_pause(server.c);
    assert_int_equal(conn_send_slice(client.c, (struct slice){bytes, n}), SEND_OVER);
    RUN_MS(50);
    assert_true(conn_queued_bytes(client.c) > CONN_HIGH_BYTES);
    conn_read_resume(server.c);
    client.stop_on = NULL;
    server.stop_at_bytes = n;
    RUN();
    assert_int_equal(buf_length(&server.got), n);
    assert_memory_equal(server.got.data + server.got.start, bytes, n);
    RUN_MS(5);
    assert_int_equal(client.log[client.logged - 1], 'D');
    mem_free(bytes);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void small_pieces_share_one_record_and_many_records_one_read(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    RUN_MS(5);
    uint64_t written = BIO_number_written(SSL_get_wbio(client.c->tls->ssl));
    struct iovec pieces[100];
    for (int i = 0; i < 100; i++) pieces[i] = (struct iovec){"0123456789", 10};
    assert_int_equal(conn_send(client.c, pieces, 100), SEND_DONE);
    assert_int_equal(BIO_number_written(SSL_get_wbio(client.c->tls->ssl)) - written, 1000 + 22);
    RUN_MS(5);
    assert_int_equal(server.calls, 1);
    for (int i = 0; i < 50; i++) conn_send_slice(client.c, SLICE("one event of a stream"));
    RUN_MS(5);
    assert_int_equal(buf_length(&server.got), 1000 + 50 * 21);
    assert_true(server.calls <= 6); /* the kernel may hand them over in a few reads */
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void a_flood_of_key_updates_is_cut_off(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    client.stop_on = server.stop_on = "rtx";
    for (int i = 0; i < 5000 && server.c != NULL && client.c != NULL; i++) {
        SSL_key_update(client.c->tls->ssl, SSL_KEY_UPDATE_REQUESTED);
        conn_send_slice(client.c, SLICE("x"));
        RUN_MS(0);
    }
    RUN_MS(20);
    assert_null(server.c);
    assert_int_equal(server.log[server.logged - 1], 't');
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

/* ---- ends ---- */

static void a_close_is_an_orderly_end_and_a_bare_fin_is_truncation(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    for (int orderly = 0; orderly < 2; orderly++) {
        open_ready(&client, &server, to);
        conn_send_slice(server.c, SLICE("all or half of it"));
        client.stop_on = "Ex";
        if (orderly)
            conn_close(server.c);
        else
            shutdown(server.c->fd, SHUT_WR);
        if (orderly) server.c = NULL;
        RUN();
        assert_string_equal(client.log, orderly ? "RBE" : "RBx");
        probe_clear(&client);
        probe_clear(&server);
    }
    tls_context_unref(to);
}

static void after_the_peers_close_notify_sending_still_works(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    struct buf farewell = {0};
    tls_farewell(client.c->tls, &farewell);
    assert_int_equal(send(client.c->fd, farewell.data + farewell.start, buf_length(&farewell), 0),
                     buf_length(&farewell));
    buf_clear(&farewell);
    server.stop_on = "E";
    RUN();
    assert_int_equal(conn_send_slice(server.c, SLICE("the answer")), SEND_DONE);
    client.stop_on = "B";
    RUN();
    assert_int_equal(buf_length(&client.got), 10);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void paused_the_end_is_noticed_as_in_plain(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    conn_read_pause(server.c);
    conn_close(client.c);
    client.c = NULL;
    server.stop_on = "EHrtx";
    RUN();
    assert_string_equal(server.log, "RE");
    probe_clear(&client);
    probe_clear(&server);

    open_ready(&client, &server, to);
    conn_read_pause(server.c);
    conn_send_slice(client.c, SLICE("before the end"));
    conn_close(client.c);
    client.c = NULL;
    server.stop_on = "EHrtx";
    RUN();
    assert_string_equal(server.log, "RH");
    conn_read_resume(server.c);
    RUN();
    assert_string_equal(server.log, "RHBE");
    assert_int_equal(buf_length(&server.got), 14);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void resumed_after_a_pause_nothing_stays_inside_tls(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    char *bytes = pattern_new(60000);
    server.take_max = 10;
    conn_send_slice(client.c, (struct slice){bytes, 60000});
    RUN_MS(20);
    assert_int_equal(buf_length(&server.got), 10);
    server.take_max = 0;
    server.stop_at_bytes = 60000;
    conn_read_resume(server.c);
    RUN();
    assert_memory_equal(server.got.data + server.got.start, bytes, 60000);
    mem_free(bytes);
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void lingering_delivers_all_and_says_goodbye(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    struct probe client, server;
    open_ready(&client, &server, to);
    size_t n = 3 << 20;
    char *bytes = pattern_new(n);
    conn_send_slice(client.c, (struct slice){bytes, 30000});
    conn_send_slice(server.c, (struct slice){bytes, n});
    conn_close_lingering(server.c);
    server.c = NULL;
    client.stop_on = "Ertx";
    RUN();
    assert_string_equal(client.log, "RBE");
    assert_int_equal(buf_length(&client.got), n);
    assert_memory_equal(client.got.data + client.got.start, bytes, n);
    probe_clear(&client);
    RUN_MS(20);
    assert_int_equal(loop_conn_count(loop), 0);
    mem_free(bytes);
    tls_context_unref(to);
}

static void closing_within_ready_and_bytes_is_safe(void **state) {
    (void)state;
    struct tls_context *to = server_of(&good);
    for (int i = 0; i < 4; i++) {
        struct probe client, server;
        open_both(&client, &server, client_context, to, "provider.test");
        if (i % 2 == 0) client.close_on = i / 2 == 0 ? "R" : "B";
        if (i % 2 == 1) server.close_on = i / 2 == 0 ? "R" : "B";
        conn_send_slice(client.c, SLICE("early"));
        conn_send_slice(server.c, SLICE("early"));
        RUN_MS(40);
        if (client.close_on != NULL) client.c = NULL;
        if (server.close_on != NULL) server.c = NULL;
        probe_clear(&client);
        probe_clear(&server);
    }
    tls_context_unref(to);
}

/* ---- sessions, load ---- */

static void resumes(int version) {
    struct tls_context *to = server_of(&good);
    SSL_CTX_set_max_proto_version(tls_context_ssl(to), version);
    bool resumed[4];
    for (int i = 0; i < 4; i++) {
        struct probe client, server;
        open_ready(&client, &server, to);
        server.echo = true;
        client.stop_on = "B";
        conn_send_slice(client.c, SLICE("question"));
        RUN();
        resumed[i] = conn_tls_reused(client.c) && conn_tls_reused(server.c);
        probe_clear(&client);
        RUN_MS(5);
        probe_clear(&server);
    }
    assert_false(resumed[0]);
    assert_true(resumed[1] && resumed[2] && resumed[3]);
    struct probe client, server;
    open_both(&client, &server, client_context, to, "127.0.0.1");
    client.stop_on = "R";
    RUN();
    assert_false(conn_tls_reused(client.c)); /* another host's session is not offered */
    probe_clear(&client);
    probe_clear(&server);
    tls_context_unref(to);
}

static void sessions_resume_in_1_3(void **state) {
    (void)state;
    resumes(TLS1_3_VERSION);
}

static void sessions_resume_in_1_2(void **state) {
    (void)state;
    resumes(TLS1_2_VERSION);
}

static unsigned steps_max;
static struct loop_task step_watch;
static void steps_note(struct loop_task *task) {
    if (loop->handshakes > steps_max) steps_max = loop->handshakes;
    loop_defer(loop, task);
}

static void at_most_four_handshake_steps_a_turn_and_all_finish(void **state) {
    (void)state;
    enum { MANY = 20 };
    struct tls_context *to = server_of(&good);
    struct probe client[MANY], server[MANY];
    for (int i = 0; i < MANY; i++) open_both(&client[i], &server[i], client_context, to, "provider.test");
    for (int i = 0; i < MANY; i++) conn_send_slice(client[i].c, SLICE("x"));
    steps_max = 0;
    step_watch.run = steps_note;
    loop_defer(loop, &step_watch);
    RUN_MS(1000);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(buf_length(&server[i].got), 1);
        assert_memory_equal(client[i].log, "R", 1);
        probe_clear(&client[i]);
        probe_clear(&server[i]);
    }
    assert_int_equal(steps_max, 4);
    tls_context_unref(to);
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, tls_setup, tls_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TLS_TEST(peers_that_are_not_who_they_should_be_are_refused),
        TLS_TEST(peers_that_prove_their_name_are_accepted),
        TLS_TEST(versions_before_1_2_are_refused),
        TLS_TEST(plain_bytes_to_a_tls_server_are_a_tls_failure),
        TLS_TEST(bytes_survive_both_ways_whole_bytewise_and_cut),
        TLS_TEST(ciphertext_may_come_byte_by_byte),
        TLS_TEST(back_pressure_says_over_and_drained),
        TLS_TEST(small_pieces_share_one_record_and_many_records_one_read),
        TLS_TEST(a_flood_of_key_updates_is_cut_off),
        TLS_TEST(a_close_is_an_orderly_end_and_a_bare_fin_is_truncation),
        TLS_TEST(after_the_peers_close_notify_sending_still_works),
        TLS_TEST(paused_the_end_is_noticed_as_in_plain),
        TLS_TEST(resumed_after_a_pause_nothing_stays_inside_tls),
        TLS_TEST(lingering_delivers_all_and_says_goodbye),
        TLS_TEST(closing_within_ready_and_bytes_is_safe),
        TLS_TEST(sessions_resume_in_1_3),
        TLS_TEST(sessions_resume_in_1_2),
        TLS_TEST(at_most_four_handshake_steps_a_turn_and_all_finish),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
