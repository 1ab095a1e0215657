//! The description of the API (OpenAPI 3.1), made from one table of routes.
//!
//! Committed as `api/openapi.json` and compared there; a test checks that it names the routes the router has.

mod routes;

use routes::ROUTES;
use serde_json::{Map, Value, json};

/// The parameters that the operation at this path takes, each with what it is; `None` where there is no such operation.
pub(crate) fn parameters(method: &str, path: &str) -> Option<&'static [(&'static str, &'static str)]> {
    ROUTES.iter().find(|route| route.path == path && route.method == method).map(|route| route.query)
}

/// Method and path of every operation.
#[cfg(test)]
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().map(|route| (route.method, route.path))
}

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
        "info": { "title": "Indelible", "version": env!("CARGO_PKG_VERSION"), "description": "A parameter that an operation does not list is refused with 400 `unknown_parameter`, except where other people's programs call: `…/ingest/…`, OTLP, health, metrics and the ledger's files.", "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
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
        let source = include_str!("../app.rs");
        let routed: std::collections::BTreeSet<String> = source
            .split(".route(\"")
            .skip(1)
            .filter_map(|r| r.split('"').next())
            .map(|p| p.replace("{*path}", "{path}"))
            .collect();
        let described: std::collections::BTreeSet<String> = ROUTES.iter().map(|r| r.path.to_owned()).collect();
        assert_eq!(routed, described);
        let operations: std::collections::BTreeSet<_> = ROUTES.iter().map(|r| (r.method, r.path)).collect();
        assert_eq!(operations.len(), ROUTES.len(), "an operation is described once");
    }
}
