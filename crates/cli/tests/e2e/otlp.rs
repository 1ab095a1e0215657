//! OTLP over HTTP, as OpenTelemetry's own SDK speaks it and in recorded bytes: traces with Ory's events, and logs.

use crate::http::{Client, Reply};
use crate::ledger::{tool, tools};
use crate::server::{Done, Home, PATIENCE, Server, at};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Instant;

const TRACES: &str = "/v1/t/acme/otlp/v1/traces";
const LOGS: &str = "/v1/t/acme/otlp/v1/logs";
const ALL: &[(&str, &str)] = &[("from", "2000-01-01T00:00:00Z"), ("limit", "1000")];

/// What Kratos does: spans with events of its own and of others, and spans with none; then two log records. Prints how the exporter
/// says that each went.
const SCRIPT: &str = r#"
import logging, sys, time
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry._logs import LogRecord, SeverityNumber

traces, logs, authorization = sys.argv[1:4]
headers = {"Authorization": authorization}

class Told(SpanExporter):
    def __init__(self, inner): self.inner = inner
    def export(self, batch):
        result = self.inner.export(batch)
        print("spans", result.name, flush=True)
        return result
    def shutdown(self): self.inner.shutdown()

resource = Resource.create({"service.name": "kratos", "service.version": "v1.3.0"})
provider = TracerProvider(resource=resource)
provider.add_span_processor(SimpleSpanProcessor(Told(OTLPSpanExporter(endpoint=traces, headers=headers, compression=Compression.Gzip, timeout=20))))
tracer = provider.get_tracer("ory/kratos")
with tracer.start_as_current_span("sql-conn-query"):
    pass
with tracer.start_as_current_span("selfservice.login.http.submit") as span:
    span.add_event("LoginSucceeded", {"IdentityID": "i-1", "SessionID": "s-1", "SelfServiceFlowType": "browser", "LoginRequestedPrivilegedSession": False, "ClientIP": "192.0.2.17", "GeoLocationLatitude": 49.19})
    span.add_event("exception", {"exception.message": "nobody's business"})
    span.add_event("SessionIssued", {"IdentityID": "i-1", "SessionID": "s-1", "SessionAAL": "aal1"})
provider.shutdown()

provider = LoggerProvider(resource=resource)
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=logs, headers=headers, compression=Compression.Gzip, timeout=20)))
logger = provider.get_logger("billing")
now = time.time_ns()
logger.emit(LogRecord(timestamp=now, observed_timestamp=now, severity_number=SeverityNumber.WARN, severity_text="WARN", body="card refused", event_name="payment.refused", attributes={"user.id": "u-7", "client.address": "192.0.2.9", "attempt": 3, "password": "hunter2"}))
logger.emit(LogRecord(timestamp=now, observed_timestamp=now, severity_number=SeverityNumber.INFO, body="a plain line"))
provider.shutdown()
"#;

fn sdk(traces: &str, logs: &str, authorization: &str) -> Done {
    let program = tools().join("python");
    assert!(std::fs::metadata(&program).is_ok(), "{} is missing; run scripts/prerequisites test", program.display());
    let mut python = tool(program.to_str().unwrap());
    Done::of(python.args(["-c", SCRIPT, traces, logs, authorization]).output().unwrap())
}

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("otel:{key}")))
}

/// A tenant's key as text.
fn key(server: &Server, tenant: &str) -> String {
    let answer = server.admin.post(&format!("/v1/t/{tenant}/keys"), r#"{"name":"otel","scopes":["write"]}"#);
    answer.json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn the_official_sdk_exports_traces_and_logs() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let key = key(&server, "acme");
    let (url, path) = (server.url(), "v1/t/acme/otlp");
    let done = sdk(&format!("{url}/{path}/v1/traces"), &format!("{url}/{path}/v1/logs"), &basic(&key));
    assert_eq!(done.err, "", "the exporter complains of nothing");
    assert_eq!(done.ok(), "spans SUCCESS\nspans SUCCESS\n");

    let logins = server.admin.page("acme", "records", &[("q", "source:ory")]);
    let actions: Vec<&str> =
        logins["items"].as_array().unwrap().iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(actions.len(), 2, "Ory's two events and no other: {logins}");
    let login = server.admin.page("acme", "records", &[("q", "action:LoginSucceeded")])["items"][0].clone();
    assert_eq!(
        (&login["actor"]["id"], &login["session_id"], &login["ip"]),
        (&json!("i-1"), &json!("s-1"), &json!("192.0.2.17"))
    );
    assert_eq!(login["attributes"]["attributes"]["GeoLocationLatitude"], json!(49.19), "typed: {login}");
    assert_eq!(login["attributes"]["resource"]["service.name"], "kratos", "{login}");
    assert_eq!(login["trace_id"].as_str().unwrap().len(), 32, "{login}");

    let refused = server.admin.page("acme", "records", &[("q", "action:payment.refused")])["items"][0].clone();
    assert_eq!(
        (&refused["source"], &refused["level"], &refused["actor"]["id"]),
        (&json!("otlp"), &json!("warn"), &json!("u-7")),
        "{refused}"
    );
    assert!(refused.to_string().contains("card refused") && !refused.to_string().contains("hunter2"), "{refused}");
    let found = server.admin.page("acme", "records", &[("q", "source:otlp")]);
    assert_eq!(found["items"].as_array().unwrap().len(), 2, "{found}");
}

/// Ory's servers are told a host and nothing else.
#[test]
fn where_the_address_names_no_tenant_it_is_the_keys() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let key = key(&server, "acme");
    let done =
        sdk(&format!("{}/v1/traces", server.url()), &format!("{}/v1/logs", server.url()), &format!("Bearer {key}"));
    assert_eq!((done.err.as_str(), done.out.as_str()), ("", "spans SUCCESS\nspans SUCCESS\n"));
    assert_eq!(
        server.admin.get("/v1/t/acme").ok()["records"].as_u64(),
        Some(5),
        "2 events, 2 logs, and the key that was made"
    );
    let status = json_form(&server.admin, "/v1/traces", &json!({ "resourceSpans": [] })).json();
    assert_eq!(status["code"], 3, "an administrator's key is of no tenant: {status}");
    assert!(status["message"].as_str().unwrap().starts_with("tenant_needed: "), "{status}");
}

#[test]
fn the_official_sdk_is_told_of_a_wrong_key_and_gives_up() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let url = format!("{}/v1/traces", server.url());
    let done = sdk(&url, &format!("{}/v1/logs", server.url()), "Bearer wrong");
    assert!(done.out.starts_with("spans FAILURE"), "{}", done.out);
    assert!(done.err.contains("401"), "{}", done.err);
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], 0);
}

fn json_form(client: &Client, path: &str, body: &Value) -> Reply {
    client.post(path, body.to_string())
}

fn protobuf_form(client: &Client, path: &str, body: &[u8]) -> Reply {
    client.post_with(path, &[("content-type", "application/x-protobuf")], body)
}

fn traces(events: &Value) -> Value {
    let span = json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "login", "events": events });
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] })
}

fn event(name: &str, nanos: &Value, attribute: &Value) -> Value {
    json!({ "name": name, "timeUnixNano": nanos, "attributes": [{ "key": "IdentityID", "value": attribute }] })
}

fn records(server: &Server) -> usize {
    server.admin.page("acme", "records", ALL)["items"].as_array().unwrap().len()
}

#[test]
fn recorded_requests_in_json_gzip_and_protobuf_are_the_same_records() {
    let server = Server::start(&[]);
    let plain = include_bytes!("../../../systems/samples/ory/traces.json");
    let answer = server.admin.post(TRACES, plain);
    assert_eq!((answer.status, answer.header("content-type"), answer.text().as_str()), (200, "application/json", "{}"));
    assert_eq!(records(&server), 1);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(plain).unwrap();
    let packed = gzip.finish().unwrap();
    let headers = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")];
    assert_eq!(server.admin.post_with(TRACES, &headers, &packed).text(), "{}");
    assert_eq!(records(&server), 1, "the same request again is the same record");

    let answer = protobuf_form(&server.admin, LOGS, &log_request(1_795_176_000_000_000_000));
    assert_eq!((answer.status, answer.header("content-type"), answer.body.len()), (200, "application/x-protobuf", 0));
    assert_eq!(records(&server), 2);
}

#[test]
fn a_request_without_any_event_of_ours_is_no_error() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    for body in [
        json!({}),
        json!({ "resourceSpans": [] }),
        traces(&json!([])),
        traces(&json!([event("exception", &json!("1"), &json!({}))])),
    ] {
        let answer = json_form(&server.admin, TRACES, &body);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{body}");
    }
    let answer = protobuf_form(&server.admin, TRACES, b"");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(protobuf_form(&server.admin, LOGS, b"").status, 200);
    assert_eq!(json_form(&server.admin, LOGS, &json!({ "resourceLogs": [] })).text(), "{}");
    assert_eq!(records(&server), 0);
}

#[test]
fn partial_success_names_what_was_refused_and_what_was_not_understood() {
    let server = Server::start(&[]);
    let (id, good) = (json!({ "stringValue": "i-1" }), json!("1795176000123456789"));
    let body =
        traces(&json!([json!(7), event("LoginSucceeded", &good, &id), event("SessionIssued", &json!("noon"), &id)]));
    let answer = json_form(&server.admin, TRACES, &body).ok();
    let partial = &answer["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "1", "64 bits stand in quotes: {answer}");
    let message = partial["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("invalid_json") && message.contains("1 not understood") && message.contains("invalid_time"),
        "{message}"
    );
    let mut actions = server.admin.column("acme", "records", ALL, "action");
    actions.sort();
    assert_eq!(actions, ["LoginSucceeded", "unparsed"], "one that is bad keeps no other out");

    // Only kept as it came: nothing is rejected, so that nobody sends it again, and the message is a warning.
    let answer = json_form(&server.admin, TRACES, &traces(&json!([event("SessionIssued", &json!("noon"), &id)]))).ok();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "0", "{answer}");

    // The same in Protocol Buffers: partial_success { rejected_log_records: 0, error_message }. The record is of the year 2100.
    let answer = protobuf_form(&server.admin, LOGS, &log_request(4_102_444_800_000_000_000));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-protobuf"), "{answer}");
    let partial = field(&answer.body, 0x0a);
    let message = field(partial.strip_prefix(&[0x08, 0x00]).expect("none is rejected"), 0x12);
    assert!(message.starts_with(b"1 not understood"), "{answer}");
    assert!(answer.text().contains("time_in_future"), "{answer}");
}

/// The bytes of the one field that a message is made of.
#[track_caller]
fn field(message: &[u8], tag: u8) -> &[u8] {
    assert_eq!(message[0], tag);
    // A length of one or two bytes.
    let (length, rest) = match message[1] {
        short @ 0..0x80 => (usize::from(short), &message[2..]),
        low => (usize::from(low & 0x7f) | usize::from(message[2]) << 7, &message[3..]),
    };
    assert_eq!(rest.len(), length);
    rest
}

/// `resource_logs { scope_logs { log_records { time_unix_nano, event_name: "x.y" } } }`
fn log_request(nanos: u64) -> Vec<u8> {
    let nest = |field: u8, inner: &[u8]| [&[field << 3 | 2, u8::try_from(inner.len()).unwrap()], inner].concat();
    let record = [&[0x09], &nanos.to_le_bytes()[..], b"\x62\x03x.y"].concat();
    nest(1, &nest(2, &nest(2, &record)))
}

/// What is sent, its content type, the HTTP status, `google.rpc.Status`'s code, and how its message begins.
type Case<'a> = (&'a str, &'a [u8], u16, u64, &'a str);

#[test]
fn errors_are_a_status_in_the_form_of_the_request() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let cases: &[Case<'_>] = &[
        ("application/x-protobuf", b"\x0a\x7f", 400, 3, "invalid_protobuf: "),
        ("application/x-protobuf", b"not protobuf", 400, 3, "invalid_protobuf: "),
        ("application/json", b"\x1f\x8b\x08garbage", 400, 3, "invalid_encoding: "),
    ];
    for (kind, body, status, code, begins) in cases {
        let reply = server.admin.post_with(LOGS, &[("content-type", kind)], body);
        expect(&reply, kind, *status, *code, begins);
    }
    for kind in ["application/x-protobuf", "application/json"] {
        let reply = server.admin.anonymous().post_with(TRACES, &[("content-type", kind)], b"{}");
        expect(&reply, kind, 401, 16, "unauthorized: ");
        let offered: Vec<_> = reply.headers.get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(offered, ["Bearer realm=\"indelible\"", "Basic realm=\"indelible\""]);
        server.admin.put("/v1/t/beta", "{}");
        let other = server.tenant_key("beta", &["write"]).post_with(TRACES, &[("content-type", kind)], b"{}");
        expect(&other, kind, 404, 5, "not_found: ");
        let reader = server.tenant_key("acme", &["read"]).post_with(TRACES, &[("content-type", kind)], b"{}");
        expect(&reader, kind, 403, 7, "missing_scope: ");
    }
    let large = vec![b'x'; (16 << 20) + 1];
    for (kind, path) in
        [("application/x-protobuf", LOGS), ("application/json", TRACES), ("application/json", "/v1/logs")]
    {
        expect(&server.admin.post_with(path, &[("content-type", kind)], &large), kind, 413, 8, "batch_too_large: ");
    }
    for kind in ["text/plain", "application/grpc", ""] {
        server.admin.post_with(TRACES, &[("content-type", kind)], b"{}").problem(415, "unsupported_media_type");
    }
    // What is no export request is a record that is not understood, and kept as such.
    let answer = json_form(&server.admin, LOGS, &json!({ "password": "hunter2" })).ok();
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "0", "{answer}");
}

#[track_caller]
fn expect(reply: &Reply, kind: &str, status: u16, code: u64, begins: &str) {
    assert_eq!((reply.status, reply.header("content-type")), (status, kind), "{reply}");
    if kind == "application/json" {
        let said = reply.json();
        assert_eq!(said["code"], code, "{said}");
        assert!(said["message"].as_str().unwrap().starts_with(begins), "{said}");
    } else {
        // code = 1, message = 2, both short of 128.
        assert_eq!(reply.body[..2], [0x08, u8::try_from(code).unwrap()], "{reply}");
        assert_eq!(reply.body[2], 0x12, "{reply}");
        assert!(reply.text().contains(begins), "{reply}");
    }
}

#[test]
fn a_server_that_cannot_write_says_when_to_come_back() {
    let home = Home::new(&[("FLUSH_SECONDS", "3600")]).limited_to_files_of(2 << 20);
    let server = home.start();
    let until = Instant::now() + PATIENCE;
    for n in 0.. {
        assert!(Instant::now() < until, "the disk is still not full");
        let record = |i| json!({ "timeUnixNano": "1795176000000000000", "eventName": "fill", "body": { "stringValue": format!("{n}/{i} {} {}", at(0), "x".repeat(900)) } });
        let list: Vec<Value> = (0..200).map(record).collect();
        let reply =
            json_form(&server.admin, LOGS, &json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": list }] }] }));
        if reply.status != 200 {
            expect(&reply, "application/json", 503, 14, "busy: ");
            assert_eq!(reply.header("retry-after"), "5");
            break;
        }
    }
}
