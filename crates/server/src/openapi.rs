//! The description of the API (OpenAPI 3.1), made from one table of routes.
//!
//! Committed as `api/openapi.json` and compared there; a test checks that it names the routes the router has.

use serde_json::{Map, Value, json};

/// One operation.
struct Route {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Scope the key needs; `administrator`, or empty where no key is needed.
    scope: &'static str,
    /// Query parameters: name and what it is.
    query: &'static [(&'static str, &'static str)],
    /// Media types of the body, if it takes one.
    body: &'static [&'static str],
    /// Status and media type of success.
    success: (&'static str, &'static str),
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const PROTOBUF: &str = "application/x-protobuf";
const BYTES: &str = "application/octet-stream";
const PAGE: &[(&str, &str)] = &[
    ("q", "filter text, such as `outcome:failure -ip:10.*`"),
    ("from", "from this time on: RFC 3339 or `now-7d`"),
    ("to", "before this time"),
    ("limit", "rows of the page, 1 to 1000, 100 if absent"),
    ("cursor", "`next_cursor` of the page before"),
    ("diff", "`guide`: diffs in the monitoring guide's spelling"),
];

const REVOKE: &[(&str, &str)] = &[
    ("preview", "`true`: say what would be hit and whom it would be told, and do nothing"),
    ("wait", "seconds to hold the answer until it is known how it ended, 60 at most; 0 if absent"),
];

const FACE: &[(&str, &str)] = &[
    ("schema", "edition of OCSF: `1.9`, or `1.8` for readers that know no other"),
    ("proof", "`false`: without where the record stands in the ledger"),
];
const FACE_PAGE: &[(&str, &str)] = &[
    ("q", "filter text, such as `outcome:failure -ip:10.*`"),
    ("from", "from this time on: RFC 3339 or `now-7d`"),
    ("to", "before this time"),
    ("limit", "records of the page, 1 to 1000, 100 if absent"),
    ("cursor", "`next_cursor` of the page before; for lines it is in the `Link` header"),
    ("schema", "edition of OCSF: `1.9`, or `1.8` for readers that know no other"),
    ("proof", "`false`: without where the records stand in the ledger"),
];

const ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/",
        summary: "A plain page: what is running, counts, commands to try",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", "text/html"),
    },
    Route {
        method: "get",
        path: "/health/live",
        summary: "The process answers",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/health/alive",
        summary: "The process answers",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/health/ready",
        summary: "It takes records; 503 names the failing part",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/version",
        summary: "Name and version",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/metrics",
        summary: "Prometheus metrics",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", TEXT),
    },
    Route {
        method: "get",
        path: "/openapi.json",
        summary: "This description",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/catalog",
        summary: "Every event that is known of every system: what it means, its log and level, the fields it fills. CSV by `Accept`",
        scope: "",
        query: &[("system", "only this system's"), ("q", "words that name and meaning have")],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t",
        summary: "All tenants",
        scope: "administrator",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "put",
        path: "/v1/t/{tenant}",
        summary: "Make a tenant, or change its settings",
        scope: "administrator",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}",
        summary: "A tenant, its settings and its number of records",
        scope: "read",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/keys",
        summary: "Make a key; it is shown this once",
        scope: "admin",
        query: &[],
        body: &[JSON],
        success: ("201", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/keys",
        summary: "The tenant's keys, without their secrets",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "delete",
        path: "/v1/t/{tenant}/keys/{id}",
        summary: "Revoke a key; it stops at once",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("204", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/records",
        summary: "Send records: an object, an array or NDJSON, plain, gzip or zstd. Answered when they are durable",
        scope: "write",
        query: &[
            ("receipts", "`full`: a receipt for every record"),
            ("wait", "`checkpoint`: answer when a signed checkpoint covers them"),
        ],
        body: &[JSON, "application/x-ndjson"],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/ingest/{system}",
        summary: "Send records in a system's own shape; `auto` tells the system by the shape. One that is not understood is kept as it came",
        scope: "write",
        query: &[
            ("receipts", "`full`: a receipt for every record"),
            ("wait", "`checkpoint`: answer when a signed checkpoint covers them"),
        ],
        body: &[JSON, "application/x-ndjson", TEXT],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/ingest/{system}",
        summary: "A WebSub hub asks whether a subscription is meant, or Okta whether the address is ours",
        scope: "",
        query: &[
            ("hub.mode", "`subscribe` or `unsubscribe`"),
            ("hub.topic", "a topic of the organization that the source names"),
            ("hub.challenge", "sent back as it is"),
        ],
        body: &[],
        success: ("200", TEXT),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/unparsed/replay",
        summary: "Read records again that were not understood (`GET …/records?q=action:unparsed` lists them); doing it twice stores nothing twice",
        scope: "read` and `write",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/otlp/v1/traces",
        summary: "OTLP over HTTP: traces whose span events are Ory's",
        scope: "write",
        query: &[],
        body: &[PROTOBUF, JSON],
        success: ("200", PROTOBUF),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/otlp/v1/logs",
        summary: "OTLP over HTTP: log records",
        scope: "write",
        query: &[],
        body: &[PROTOBUF, JSON],
        success: ("200", PROTOBUF),
    },
    Route {
        method: "post",
        path: "/v1/traces",
        summary: "OTLP traces for the tenant that the key belongs to",
        scope: "write",
        query: &[],
        body: &[PROTOBUF, JSON],
        success: ("200", PROTOBUF),
    },
    Route {
        method: "post",
        path: "/v1/logs",
        summary: "OTLP log records for the tenant that the key belongs to",
        scope: "write",
        query: &[],
        body: &[PROTOBUF, JSON],
        success: ("200", PROTOBUF),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/records",
        summary: "Records of every log, newest first",
        scope: "read",
        query: PAGE,
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/records/{id}",
        summary: "One record",
        scope: "read",
        query: &[("diff", "`guide`: the diff in the monitoring guide's spelling")],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/records/{id}/proof",
        summary: "One record with everything needed to check it offline",
        scope: "read",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/as/{system}/records/{id}",
        summary: "One record in the words of another system: ocsf, cloudevents, syslog, cef, or a system's name",
        scope: "read",
        query: FACE,
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/as/{system}/{view}",
        summary: "A page of a view in the words of another system; syslog and CEF as lines, JSON as NDJSON by `Accept`",
        scope: "read",
        query: FACE_PAGE,
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/query",
        summary: "A typed query: page, count, count_by, histogram, facets",
        scope: "read",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/ask",
        summary: "A question in plain English as a query; its result too with `run=true`",
        scope: "read",
        query: &[("run", "`true`: run it")],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/sql",
        summary: "SELECT over the tenant's views",
        scope: "read",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/tail",
        summary: "What is sealed from now on, as Server-Sent Events",
        scope: "read",
        query: &[("q", "filter text"), ("view", "a view, `records` if absent")],
        body: &[],
        success: ("200", "text/event-stream"),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/sessions/revoke",
        summary: "All sessions of the user that the body names are revoked where they came from",
        scope: "revoke",
        query: REVOKE,
        body: &[JSON],
        success: ("202", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/sessions/{id}/revoke",
        summary: "A session is revoked where it came from, or recorded and published where nothing can be told",
        scope: "revoke",
        query: REVOKE,
        body: &[],
        success: ("202", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/grants/revoke",
        summary: "All grants of the user that the body names are withdrawn",
        scope: "revoke",
        query: REVOKE,
        body: &[JSON],
        success: ("202", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/grants/{id}/revoke",
        summary: "A grant is withdrawn where it came from, or recorded and published",
        scope: "revoke",
        query: REVOKE,
        body: &[],
        success: ("202", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/revocations",
        summary: "What was revoked, for services that check: small, with an ETag",
        scope: "read",
        query: &[("since", "a time, or `next` of the answer before; 7 days ago if absent")],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/revocations/{id}",
        summary: "How far a revocation is, step by step",
        scope: "read",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/sources",
        summary: "The systems records come from, without their secrets",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "put",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "Make a source or change it: `system`, `kind`, `settings`, `secrets`",
        scope: "admin",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "A source, how far it was read and what came from it",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "delete",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "Remove a source and its secrets; its records stay",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("204", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/sources",
        summary: "The systems records come from, without their secrets",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "put",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "Make a source or change it: `system`, `kind`, `settings`, `secrets`",
        scope: "admin",
        query: &[],
        body: &[JSON],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "A source, how far it was read and what came from it",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "delete",
        path: "/v1/t/{tenant}/sources/{name}",
        summary: "Remove a source and its secrets; its records stay",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("204", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/sources/{name}/fetch",
        summary: "Look for new records of a source now; answers with the job",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("202", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/sources/{name}/check",
        summary: "Compare what a source has of `from` to `to` with what is here; answers with the job",
        scope: "admin",
        query: &[],
        body: &[JSON],
        success: ("202", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/completeness",
        summary: "Whether anything is missing between two times, per source: yes, no, or unknown and why",
        scope: "read",
        query: &[("from", "from this time on: RFC 3339 or `now-7d`"), ("to", "before this time")],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/jobs",
        summary: "Jobs, newest first",
        scope: "read",
        query: &[("cursor", "`next_cursor` of the page before")],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/jobs/{id}",
        summary: "A job",
        scope: "read",
        query: &[],
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/jobs/{id}/cancel",
        summary: "Stop a job; one that runs ends at its next step",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("202", JSON),
    },
    Route {
        method: "post",
        path: "/v1/t/{tenant}/jobs/{id}/retry",
        summary: "Try a job again that failed or was cancelled",
        scope: "admin",
        query: &[],
        body: &[],
        success: ("202", JSON),
    },
    Route {
        method: "get",
        path: "/v1/t/{tenant}/{view}",
        summary: "Rows of a view, newest first",
        scope: "read",
        query: PAGE,
        body: &[],
        success: ("200", JSON),
    },
    Route {
        method: "get",
        path: "/t/{tenant}/log/checkpoint",
        summary: "The newest signed checkpoint (C2SP tlog-checkpoint)",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", TEXT),
    },
    Route {
        method: "get",
        path: "/t/{tenant}/log/vkey",
        summary: "The verifier key of the tenant's ledger",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", TEXT),
    },
    Route {
        method: "get",
        path: "/t/{tenant}/log/tile/{path}",
        summary: "A hash tile or entry bundle (C2SP tlog-tiles)",
        scope: "",
        query: &[],
        body: &[],
        success: ("200", BYTES),
    },
];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|p| p.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .chain(route.query.iter().map(|(name, what)| json!({ "name": name, "in": "query", "description": what, "schema": { "type": "string" } })))
            .collect();
        let mut operation = json!({
            "summary": route.summary,
            "parameters": parameters,
            "responses": {
                route.success.0: { "description": "done", "content": { route.success.1: {} } },
                "default": { "description": "a problem document", "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } },
            },
        });
        if !route.scope.is_empty() {
            operation["security"] = json!([{ "key": [] }]);
            operation["description"] = format!("Needs the scope `{}`.", route.scope).into();
        }
        if !route.body.is_empty() {
            let content: Map<String, Value> = route.body.iter().map(|m| ((*m).to_owned(), json!({}))).collect();
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Indelible", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": {
                "type": "object",
                "required": ["status", "code", "detail", "errors"],
                "properties": {
                    "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
                    "code": { "type": "string" }, "detail": { "type": "string" }, "request_id": { "type": ["string", "null"] },
                    "errors": { "type": "array", "items": { "type": "object" } },
                },
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_routes_that_the_router_has() {
        let source = include_str!("app.rs");
        let routed: std::collections::BTreeSet<String> = source
            .split(".route(\"")
            .skip(1)
            .filter_map(|r| r.split('"').next())
            .map(|p| p.replace("{*path}", "{path}"))
            .collect();
        let described: std::collections::BTreeSet<String> = ROUTES.iter().map(|r| r.path.to_owned()).collect();
        assert_eq!(routed, described);
    }
}
