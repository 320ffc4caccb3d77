/* An echo server with libwebsockets: server_lws DEFLATE [CERTIFICATES KEY]; DEFLATE is on or off. */
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST (2 << 20)

struct session {
    unsigned char *message; /* LWS_PRE bytes of room, then the message */
    size_t length;
    int is_binary, is_whole, asked_to_close;
};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
    {NULL, NULL, NULL},
};

static int receive(struct lws *wsi, struct session *session, const void *in, size_t len)
{
    if (lws_is_first_fragment(wsi)) {
        session->length = 0;
        session->is_binary = lws_frame_is_binary(wsi);
    }
    if (session->length + len > MOST)
        return -1;
    memcpy(session->message + LWS_PRE + session->length, in, len);
    session->length += len;
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        session->is_whole = 1;
        lws_callback_on_writable(wsi);
    }
    return 0;
}

/* Answers with the message, or with the close that it asks for. */
static int answer(struct lws *wsi, struct session *session)
{
    unsigned char *payload = session->message + LWS_PRE;
    int code = 0, skipped = 0, written;

    if (!session->is_whole)
        return 0;
    session->is_whole = 0;
    payload[session->length] = 0;
    if (!session->is_binary && sscanf((char *)payload, "close %d %n", &code, &skipped) == 1) {
        session->asked_to_close = 1;
        lws_close_reason(wsi, (enum lws_close_status)code, payload + skipped, session->length - skipped);
        return -1;
    }
    written = lws_write(wsi, payload, session->length, session->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    return written < (int)session->length ? -1 : 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct session *session = user;
    const unsigned char *close = in;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        session->message = malloc(LWS_PRE + MOST + 1);
        return session->message ? 0 : -1;
    case LWS_CALLBACK_RECEIVE:
        return receive(wsi, session, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return answer(wsi, session);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (len >= 2)
            printf("closed %d %.*s\n", close[0] << 8 | close[1], (int)len - 2, close + 2);
        return 0;
    case LWS_CALLBACK_CLOSED:
        if (session->asked_to_close)
            printf("closed, and libwebsockets keeps the answer for itself\n");
        free(session->message);
        session->message = NULL;
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    struct lws_protocols protocols[] = {{"echo", callback, sizeof(struct session), 65536, 0, NULL, 0}, {0}};
    struct lws_context_creation_info info = {0};
    struct lws_context *context;
    struct lws_vhost *vhost;

    setvbuf(stdout, NULL, _IOLBF, 0);
    lws_set_log_level(LLL_ERR, NULL);
    info.port = 0;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.extensions = argc > 1 && strcmp(argv[1], "on") == 0 ? extensions : NULL;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    if (argc > 3) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[2];
        info.ssl_private_key_filepath = argv[3];
    }
    context = lws_create_context(&info);
    vhost = context ? lws_create_vhost(context, &info) : NULL;
    if (!vhost)
        return 1;
    printf("listening on 127.0.0.1:%d\n", lws_get_vhost_listen_port(vhost));
    while (lws_service(context, 0) >= 0)
        ;
    return 1;
}
