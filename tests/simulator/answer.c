/* Rendering answers. */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char json_type[] = "application/json;charset=utf-8";
static const char xml_type[] = "text/xml;charset=utf-8";

static void add_escaped(struct text *out, const char *value)
{
    for (const char *c = value; *c; c++) {
        switch (*c) {
        case '&':
            text_puts(out, "&amp;");
            break;
        case '<':
            text_puts(out, "&lt;");
            break;
        case '>':
            text_puts(out, "&gt;");
            break;
        default:
            /* XML 1.0 has no form for the other control characters. */
            text_add(out, (unsigned char)*c < 0x20 && !strchr("\t\r\n", *c) ? "?" : c, 1);
        }
    }
}

static void add_xml(struct text *out, const cJSON *item);

static void add_xml_value(struct text *out, const cJSON *item)
{
    if (cJSON_IsString(item) && item->string && strcmp(item->string, "Recommend") == 0) {
        text_printf(out, "<![CDATA[%s]]>", item->valuestring);
    } else if (cJSON_IsString(item)) {
        add_escaped(out, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        text_printf(out, "%.0f", item->valuedouble);
    } else if (cJSON_IsBool(item)) {
        text_puts(out, cJSON_IsTrue(item) ? "true" : "false");
    } else {
        add_xml(out, item);
    }
}

/* The children of an object as elements; an array is its element repeated. */
static void add_xml(struct text *out, const cJSON *object)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, object)
    {
        const cJSON *value = cJSON_IsArray(item) ? item->child : item;
        for (; value; value = cJSON_IsArray(item) ? value->next : NULL) {
            text_printf(out, "<%s>", item->string);
            add_xml_value(out, value);
            text_printf(out, "</%s>", item->string);
        }
    }
}

static void render_object(struct call *call, const cJSON *object, const char *root)
{
    if (call->wants_json) {
        char *json = cJSON_PrintUnformatted(object);
        text_puts(&call->answer, json);
        cJSON_free(json);
        call->content_type = json_type;
        return;
    }
    text_printf(&call->answer, "<?xml version='1.0' encoding='UTF-8'?><%s>", root);
    add_xml(&call->answer, object);
    text_printf(&call->answer, "</%s>", root);
    call->content_type = xml_type;
}

static const char *product(const struct call *call)
{
    return strcmp(call->version, "2014-05-26") == 0 ? "Ecs" : "Ebs";
}

static void render_problem(struct call *call, const char *request_id)
{
    char host[256];
    char recommend[512];
    base_fill(host, sizeof host, call_header(call, "Host"));
    host[strcspn(host, ":")] = '\0';
    snprintf(recommend, sizeof recommend,
             "https://api.aliyun.com/troubleshoot?q=%s&product=%s&requestId=%s", call->problem.code,
             product(call), request_id);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "RequestId", request_id);
    cJSON_AddStringToObject(object, "HostId", host);
    cJSON_AddStringToObject(object, "Code", call->problem.code);
    cJSON_AddStringToObject(object, "Message", call->problem.message);
    cJSON_AddStringToObject(object, "Recommend", recommend);
    render_object(call, object, "Error");
    cJSON_Delete(object);
    call->http = call->problem.http;
}

static void render_success(struct call *call, const char *request_id)
{
    call->http = 200;
    if (!call->fields && call->wants_json) {
        text_printf(&call->answer, "{\"RequestId\":\"%s\"}", request_id);
        call->content_type = json_type;
        return;
    }
    char root[128];
    snprintf(root, sizeof root, "%sResponse", call->action);
    cJSON *object = call->fields ? call->fields : cJSON_CreateObject();
    call->fields = NULL;
    cJSON_AddStringToObject(object, "RequestId", request_id);
    render_object(call, object, root);
    cJSON_Delete(object);
}

void answer_render(struct call *call)
{
    char request_id[REQUEST_ID_TEXT_BYTES];
    request_id_format(call->request_id, request_id);
    text_clear(&call->answer);
    if (call->problem.code[0]) {
        render_problem(call, request_id);
    } else {
        render_success(call, request_id);
    }
}

void answer_render_fault(struct call *call)
{
    text_clear(&call->answer);
    call->http = 200;
    call->content_type = json_type;
    if (call->fault.kind->delivery == DELIVERY_EMPTY) {
        text_puts(&call->answer, "{}");
    } else if (call->fault.kind->delivery == DELIVERY_GARBAGE) {
        text_add(&call->answer, "\x00\xff\xfe{\"RequestId\":<<not json", 26);
    } else {
        call->http = 502;
        call->content_type = "text/html";
        text_puts(&call->answer, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
                                 "<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
                                 "<hr><center>Tengine</center>\r\n</body>\r\n</html>\r\n");
    }
}

void answer_control(struct call *call, unsigned http, cJSON *body)
{
    char *json = cJSON_PrintUnformatted(body);
    text_clear(&call->answer);
    text_puts(&call->answer, json);
    text_puts(&call->answer, "\n");
    cJSON_free(json);
    cJSON_Delete(body);
    call->http = http;
    call->content_type = "application/json";
    call->step = CALL_ANSWERED;
}
