/* Which TLS servers the bridge accepts, and its error messages for the others. */
#include "flow_tls.h"
#include "flow_certificates.h"
#include "flow_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int mosquitto_port;      /* TLS */
static int mosquitto_mtls_port; /* TLS with a client certificate */
static int mosquitto_wss_port;  /* websockets over TLS */

/* ---- Problems of a server, and the messages about them ---- */

struct problem {
    const char *name;
    struct tls_front_options front;
    const char *host;   /* in the URI; NULL: 127.0.0.1 */
    const char *cert;   /* the client certificate, or NULL */
    const char *broker; /* message if the broker has this problem */
    const char *api;    /* message if the API has it */
};

static const struct problem problems[] = {
    {.name = "an authority that is not trusted",
     .front = {.cert = "unknown"},
     .broker = "broker's certificate comes from an authority that is not trusted: stranger",
     .api = "the server's certificate comes from an authority that is not trusted"},
    {.name = "another host",
     .front = {.cert = "other"},
     .broker = "broker's certificate is not for 127.0.0.1 but for other.example",
     .api = "the server's certificate is for another host"},
    {.name = "another host, by name",
     .front = {.cert = "other"},
     .host = "localhost",
     .broker = "broker's certificate is not for localhost but for other.example",
     .api = "the server's certificate is for another host"},
    {.name = "expired",
     .front = {.cert = "expired"},
     .broker = "broker's certificate expired on 20",
     .api = "the server's certificate has expired"},
    {.name = "not yet valid",
     .front = {.cert = "future"},
     .broker = "broker's certificate is not yet valid; it begins on 20",
     .api = "the server's certificate is not yet valid"},
    {.name = "TLS 1.0 only",
     .front = {.cert = "right", .version = 0x0301},
     .broker = "the broker does not support TLS 1.2 or newer",
     .api = "the server does not support TLS 1.2 or newer"},
    {.name = "TLS 1.1 only",
     .front = {.cert = "right", .version = 0x0302},
     .broker = "the broker does not support TLS 1.2 or newer",
     .api = "the server does not support TLS 1.2 or newer"},
    {.name = "a client certificate is missing, TLS 1.3",
     .front = {.cert = "right", .client = "good", .version = 0x0304},
     .broker = "the broker asks for a client certificate (broker.tls.cert_file)",
     .api = "the server asks for a client certificate"},
    {.name = "a client certificate is missing, TLS 1.2",
     .front = {.cert = "right", .client = "good", .version = 0x0303},
     .broker = "it asks for a client certificate (broker.tls.cert_file)",
     .api = "it asks for a client certificate"},
    {.name = "a client certificate of a stranger, TLS 1.3",
     .front = {.cert = "right", .client = "good", .version = 0x0304},
     .cert = "strange-client",
     .broker = "the broker does not trust the authority of the client certificate",
     .api = "the server does not trust the authority of the client certificate"},
    {.name = "a client certificate of a stranger, TLS 1.2",
     .front = {.cert = "right", .client = "good", .version = 0x0303},
     .cert = "strange-client",
     .broker = "the broker does not trust the authority of the client certificate",
     .api = "the server does not trust the authority of the client certificate"},
};

static const char *client_settings(struct fixture *fixture, const char *group, const char *cert)
{
    return cert == NULL
               ? ""
               : fixture_format(fixture, "%scert_file = \"%s/%s.pem\";%skey_file = \"%s/%s.key\";",
                                group, certificates, cert, group, certificates, cert);
}

static void check_broker(struct fixture *fixture, const struct problem *problem)
{
    struct tls_front front;
    struct tls_front_options options = problem->front;
    options.target = fixture->broker.port;
    tls_front_start(&front, certificates, &options);
    struct bridge *bridge = fixture_bridge_new(
        fixture,
        fixture_format(fixture,
                       "broker.uris = (\"mqtts://%s:%d\"); broker.tls.ca_file = \"%s/good.pem\";%s",
                       problem->host == NULL ? "127.0.0.1" : problem->host, front.port,
                       certificates, client_settings(fixture, "broker.tls.", problem->cert)));
    bridge_start(bridge);
    bridge_wait_log(bridge, problem->broker);
    bridge_wait_log(bridge, "event=publisher_down");
    assert_false(bridge_log_contains(bridge, "event=publisher_up"));
    bridge_stop(bridge);
    tls_front_stop(&front);
}

static void test_a_broker_with_a_tls_problem_is_refused_and_the_log_has_the_reason(
    struct fixture *fixture)
{
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        print_message("  %s\n", problems[i].name);
        check_broker(fixture, &problems[i]);
    }
}

static void check_api(struct fixture *fixture, const struct problem *problem)
{
    struct tls_front front;
    struct tls_front_options options = problem->front;
    options.target = fixture->simulator.port;
    tls_front_start(&front, certificates, &options);
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture,
                                "api.endpoint = \"https://%s:%d\"; api.ca_file = \"%s/good.pem\";"
                                "limits.deadline_s = 1;%s",
                                problem->host == NULL ? "127.0.0.1" : problem->host, front.port,
                                certificates, client_settings(fixture, "api.", problem->cert)));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    const char *token = fixture_name(fixture, "token");
    const struct message *reply = fixture_request(fixture, token, fixture_name(fixture, "pg"), "");
    check_error(reply, "failed", "Bridge.Unreachable", "unavailable", true);
    if (strstr(json_text(reply->json, "Error.Message"), problem->api) == NULL) {
        flow_fail("\"%s\" is not in: %s", problem->api, reply->payload);
    }
    if (strstr(reply->payload, certificates) != NULL) {
        flow_fail("the reply names a directory of the bridge's machine: %s", reply->payload);
    }
    assert_true(bridge_log_contains(bridge, problem->api));
    bool is_certificate = strstr(problem->api, "the server's certificate") != NULL;
    const char *warning = fixture_format(
        fixture,
        "level=warn role=bridge event=api_not_trusted why=\"Nothing was sent: %s:%d: TLS: %s",
        problem->host == NULL ? "127.0.0.1" : problem->host, front.port, problem->api);
    assert_int_equal(bridge_log_contains(bridge, warning), is_certificate);
    assert_int_equal(simulator_token(&fixture->simulator, token, "Calls"), 0);
    bridge_stop(bridge);
    tls_front_stop(&front);
}

static void test_an_api_with_a_tls_problem_is_refused_and_the_reply_has_the_reason(
    struct fixture *fixture)
{
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        print_message("  %s\n", problems[i].name);
        check_api(fixture, &problems[i]);
    }
}

/* ---- Servers that are accepted ---- */

static void check_works(struct fixture *fixture, const char *settings)
{
    struct bridge *bridge = fixture_bridge_alone(fixture, settings);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    bridge_stop(bridge);
}

static void test_a_broker_with_a_trusted_certificate_is_used(struct fixture *fixture)
{
    check_works(fixture, fixture_format(fixture,
                                        "broker.uris = (\"mqtts://127.0.0.1:%d\");"
                                        "broker.tls.ca_file = \"%s/good.pem\";",
                                        mosquitto_port, certificates));
    check_works(fixture,
                fixture_format(fixture,
                               "broker.uris = (\"mqtts://localhost:%d\"); broker.protocol = 4;"
                               "broker.tls.ca_file = \"%s/good.pem\";",
                               mosquitto_port, certificates));
}

static void test_a_broker_may_ask_for_a_client_certificate(struct fixture *fixture)
{
    check_works(fixture, fixture_format(fixture,
                                        "broker.uris = (\"mqtts://127.0.0.1:%d\");"
                                        "broker.tls.ca_file = \"%s/good.pem\";"
                                        "broker.tls.cert_file = \"%s/client.pem\";"
                                        "broker.tls.key_file = \"%s/client.key\";"
                                        "broker.tls.key_password_file = \"%s/password\";",
                                        mosquitto_mtls_port, certificates, certificates,
                                        certificates, certificates));
}

static void test_a_broker_may_be_behind_wss(struct fixture *fixture)
{
    check_works(fixture, fixture_format(fixture,
                                        "broker.uris = (\"wss://127.0.0.1:%d/mqtt\");"
                                        "broker.tls.ca_file = \"%s/good.pem\";",
                                        mosquitto_wss_port, certificates));
    struct bridge *bridge =
        fixture_bridge_new(fixture, fixture_format(fixture,
                                                   "broker.uris = (\"wss://127.0.0.1:%d/mqtt\");"
                                                   "broker.tls.ca_file = \"%s/stranger.pem\";",
                                                   mosquitto_wss_port, certificates));
    bridge_start(bridge);
    bridge_wait_log(bridge, "comes from an authority that is not trusted: good");
    bridge_stop(bridge);
}

static void test_authorities_may_be_a_directory(struct fixture *fixture)
{
    struct tls_front front;
    certificates_hash("hashed", "good");
    tls_front_start(
        &front, certificates,
        &(struct tls_front_options){.target = fixture->simulator.port, .cert = "right"});
    check_works(
        fixture,
        fixture_format(fixture,
                       "broker.uris = (\"mqtts://127.0.0.1:%d\");"
                       "broker.tls.ca_path = \"%s/hashed\";"
                       "api.endpoint = \"https://127.0.0.1:%d\"; api.ca_path = \"%s/hashed\";",
                       mosquitto_port, certificates, front.port, certificates));
    tls_front_stop(&front);
}

/* The directory is replaced by a file that holds nothing while the bridge runs. */
static void test_a_broken_directory_of_authorities_is_not_in_a_reply(struct fixture *fixture)
{
    struct tls_front front;
    certificates_hash("breaks", "good");
    const char *directory = fixture_format(fixture, "%s/breaks", certificates);
    tls_front_start(
        &front, certificates,
        &(struct tls_front_options){.target = fixture->simulator.port, .cert = "right"});
    struct bridge *bridge = fixture_bridge_alone(
        fixture, fixture_format(fixture,
                                "api.endpoint = \"https://127.0.0.1:%d\"; api.ca_path = \"%s\";"
                                "limits.deadline_s = 1;",
                                front.port, directory));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_int_equal(rename(directory, fixture_format(fixture, "%s/broken", certificates)), 0);
    file_write(directory, "");
    const struct message *reply =
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), "");
    check_error(reply, "failed", "Bridge.Unreachable", "unavailable", true);
    assert_null(strstr(reply->payload, "breaks"));
    assert_null(strstr(reply->payload, certificates));
    bridge_wait_log(bridge, "event=api_not_trusted");
    bridge_stop(bridge);
    tls_front_stop(&front);
}

static void test_the_broker_gets_the_names_for_alpn(struct fixture *fixture)
{
    struct tls_front front;
    tls_front_start(&front, certificates,
                    &(struct tls_front_options){
                        .target = fixture->broker.port, .cert = "right", .alpn = "x-amzn-mqtt-ca"});
    const char *common = fixture_format(fixture,
                                        "broker.uris = (\"mqtts://127.0.0.1:%d\");"
                                        "broker.tls.ca_file = \"%s/good.pem\";",
                                        front.port, certificates);
    check_works(
        fixture,
        fixture_format(fixture, "%sbroker.tls.alpn = (\"mqtt\", \"x-amzn-mqtt-ca\");", common));
    assert_true(file_contains(front.log, 0, "alpn x-amzn-mqtt-ca"));
    struct bridge *bridge = fixture_bridge_new(
        fixture, fixture_format(fixture, "%sbroker.tls.alpn = (\"mqtt\");", common));
    bridge_start(bridge);
    bridge_wait_log(bridge, "no application protocol");
    bridge_stop(bridge);
    tls_front_stop(&front);
}

static void test_an_api_may_ask_for_a_client_certificate(struct fixture *fixture)
{
    struct tls_front front;
    tls_front_start(&front, certificates,
                    &(struct tls_front_options){
                        .target = fixture->simulator.port, .cert = "right", .client = "good"});
    check_works(fixture,
                fixture_format(fixture,
                               "api.endpoint = \"https://127.0.0.1:%d\";"
                               "api.ca_file = \"%s/good.pem\";"
                               "api.cert_file = \"%s/client.pem\";"
                               "api.key_file = \"%s/client.key\";"
                               "api.key_password_file = \"%s/password\";",
                               front.port, certificates, certificates, certificates, certificates));
    assert_true(file_contains(front.log, 0, "client yes"));
    tls_front_stop(&front);
}

/* Without verification every server is accepted, but a warning is logged. */
static void test_a_broker_that_is_not_verified_is_logged_at_every_start(struct fixture *fixture)
{
    struct tls_front front;
    tls_front_start(&front, certificates,
                    &(struct tls_front_options){.target = fixture->broker.port, .cert = "unknown"});
    struct bridge *bridge = fixture_bridge_alone(
        fixture,
        fixture_format(fixture,
                       "broker.uris = (\"mqtts://127.0.0.1:%d\"); broker.tls.verify = false;",
                       front.port));
    bridge_start(bridge);
    bridge_wait_online(bridge);
    assert_true(bridge_log_contains(bridge, "event=broker_not_verified"));
    bridge_stop(bridge);
    tls_front_stop(&front);
    tls_front_start(&front, certificates,
                    &(struct tls_front_options){
                        .target = fixture->broker.port, .cert = "right", .version = 0x0302});
    bridge = fixture_bridge_new(
        fixture,
        fixture_format(fixture,
                       "broker.uris = (\"mqtts://127.0.0.1:%d\"); broker.tls.verify = false;",
                       front.port));
    bridge_start(bridge);
    bridge_wait_log(bridge, "the broker does not support TLS 1.2 or newer");
    bridge_stop(bridge);
    tls_front_stop(&front);
}

/* More listeners for the broker. */
static const char *listeners(void)
{
    static char text[2048];
    static int guards[3];
    mosquitto_port = port_reserve(&guards[0]);
    mosquitto_mtls_port = port_reserve(&guards[1]);
    mosquitto_wss_port = port_reserve(&guards[2]);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\ncertfile %s/right.pem\nkeyfile %s/right.key\n"
             "listener %d 127.0.0.1\ncertfile %s/right.pem\nkeyfile %s/right.key\n"
             "cafile %s/good.pem\nrequire_certificate true\n"
             "listener %d 127.0.0.1\nprotocol websockets\ncertfile %s/right.pem\n"
             "keyfile %s/right.key\n",
             mosquitto_port, certificates, certificates, mosquitto_mtls_port, certificates,
             certificates, certificates, mosquitto_wss_port, certificates, certificates);
    return text;
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_a_broker_with_a_trusted_certificate_is_used),
        FLOW_TEST(test_a_broker_may_ask_for_a_client_certificate),
        FLOW_TEST(test_a_broker_may_be_behind_wss),
        FLOW_TEST(test_authorities_may_be_a_directory),
        FLOW_TEST(test_a_broken_directory_of_authorities_is_not_in_a_reply),
        FLOW_TEST(test_the_broker_gets_the_names_for_alpn),
        FLOW_TEST(test_an_api_may_ask_for_a_client_certificate),
        FLOW_TEST(test_a_broker_that_is_not_verified_is_logged_at_every_start),
        FLOW_TEST(test_a_broker_with_a_tls_problem_is_refused_and_the_log_has_the_reason),
        FLOW_TEST(test_an_api_with_a_tls_problem_is_refused_and_the_reply_has_the_reason),
    };
    certificates_begin();
    int code = flow_main("tls", tests, sizeof tests / sizeof tests[0], listeners(), argc, argv);
    certificates_end();
    return code;
}
