//! Parameters of an address that an operation does not take: refused, not let be.
//!
//! A `form=` for `from=` would search everything there is, and whoever looks for evidence would not notice. What an operation takes is what
//! its description says ([`crate::openapi`]), so that the two cannot differ. Not here: what the values mean, which every handler reads itself
//! ([`crate::request`]).

use crate::openapi;
use crate::problem::Problem;
use axum::extract::Query;
use axum::http::{Method, Uri};
use serde_json::json;

/// Where other people's programs call with parameters of their own, which ask for nothing here: senders of records, probes, and readers
/// of the ledger's files.
const FOREIGN: &[&str] = &[
    "/v1/t/{tenant}/ingest/",
    "/v1/t/{tenant}/otlp/",
    "/v1/traces",
    "/v1/logs",
    "/health/",
    "/metrics",
    "/t/{tenant}/log/",
];

/// Bytes of a name that are shown.
const SHOWN: usize = 60;

/// Whether the operation at `route` takes every parameter of the address.
///
/// # Errors
/// 400 `unknown_parameter`, which names the first that it does not take, and those that it does.
pub(crate) fn check(method: &Method, route: &str, uri: &Uri) -> Result<(), Problem> {
    if uri.query().is_none_or(str::is_empty) || route == "/" || FOREIGN.iter().any(|start| route.starts_with(start)) {
        return Ok(());
    }
    let method = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let Some(taken) = openapi::parameters(&method, route) else { return Ok(()) };
    // What cannot be read at all is refused by whoever reads it.
    let Ok(Query(given)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else { return Ok(()) };
    match given.iter().find(|(name, _)| !taken.iter().any(|(known, _)| known == name)) {
        Some((name, _)) => Err(unknown(name, taken)),
        None => Ok(()),
    }
}

fn unknown(name: &str, taken: &[(&str, &str)]) -> Problem {
    let shown: String = name.escape_debug().take(SHOWN).collect();
    let names: Vec<String> = taken.iter().map(|(known, _)| format!("`{known}`")).collect();
    let takes = match names.as_slice() {
        [] => "no parameters".to_owned(),
        [only] => format!("{only} only"),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    };
    let detail =
        format!("`{shown}` is no parameter of this address, which takes {takes}; correct its name, or leave it out");
    let error = json!({ "code": "unknown_parameter", "detail": "there is no such parameter here", "pointer": shown });
    Problem::bad("unknown_parameter", detail).error(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, route: &str, uri: &str) -> Result<(), String> {
        check(&Method::from_bytes(method.as_bytes()).unwrap(), route, &uri.parse().unwrap()).map_err(|p| {
            assert_eq!((p.status().as_u16(), p.code()), (400, "unknown_parameter"));
            p.detail().to_owned()
        })
    }

    #[test]
    fn what_an_operation_does_not_take_is_named_beside_what_it_takes() {
        let view = "/v1/t/{tenant}/{view}";
        for query in ["", "?", "?q=a&from=now-7d&to=now&limit=5&cursor=x&diff=guide", "?%66rom=now-1d", "?from", "?&"] {
            asked("GET", view, &format!("/v1/t/acme/records{query}")).unwrap();
        }
        let detail = asked("GET", view, "/v1/t/acme/audit_logs?q=a&form=now-7d").unwrap_err();
        assert_eq!(
            detail,
            "`form` is no parameter of this address, which takes `q`, `from`, `to`, `limit`, `cursor` and `diff`; correct its name, or leave it out"
        );
        for query in ["?From=now", "?q=a&%20from=now", "?q=a&=", "?from%00=now", "?limit[]=5"] {
            asked("GET", view, &format!("/v1/t/acme/records{query}")).unwrap_err();
            asked("HEAD", view, &format!("/v1/t/acme/records{query}")).unwrap_err();
        }
        let long = asked("GET", view, &format!("/v1/t/acme/records?{}=1", "x".repeat(500))).unwrap_err();
        assert!(long.starts_with(&format!("`{}` is", "x".repeat(SHOWN))), "{long}");
        let face = asked("GET", "/v1/t/{tenant}/as/{system}/records/{id}", "/v1/t/a/as/ocsf/records/1?version=1.8")
            .unwrap_err();
        assert!(face.contains("`version`") && face.contains("takes `schema` and `proof`"), "{face}");
        let none = asked("POST", "/v1/t/{tenant}/sql", "/v1/t/acme/sql?limit=5").unwrap_err();
        assert!(none.contains("takes no parameters"), "{none}");
        let one = asked("GET", "/v1/t/{tenant}/jobs", "/v1/t/acme/jobs?limit=5").unwrap_err();
        assert!(one.contains("takes `cursor` only"), "{one}");
    }

    #[test]
    fn what_others_call_may_have_parameters_of_their_own() {
        for (method, route) in [
            ("POST", "/v1/t/{tenant}/ingest/{system}"),
            ("GET", "/v1/t/{tenant}/ingest/{system}"),
            ("POST", "/v1/t/{tenant}/otlp/v1/logs"),
            ("POST", "/v1/traces"),
            ("POST", "/v1/logs"),
            ("GET", "/health/ready"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/t/{tenant}/log/tile/{*path}"),
            // No operation: another answer is given.
            ("PATCH", "/v1/t/{tenant}"),
            ("GET", "unmatched"),
        ] {
            asked(method, route, "/?any=1&other[]=2").unwrap();
        }
    }

    #[test]
    fn every_operation_of_ours_is_looked_at() {
        for (method, path) in openapi::operations() {
            let route = path.replace("log/tile/{path}", "log/tile/{*path}");
            let foreign = route == "/" || FOREIGN.iter().any(|start| route.starts_with(start));
            assert_eq!(asked(&method.to_uppercase(), &route, "/?nonsense=1").is_ok(), foreign, "{method} {path}");
        }
    }
}
