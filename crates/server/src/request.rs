//! What every handler reads of a request in the same way: the parameters of its address, which of several forms of an answer it
//! wants, and whether its sender has that answer already.

use crate::problem::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

/// The parameters of an address; those that an operation does not take were refused before ([`crate::parameters`]).
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        // Every parameter is text, so that only one that is given twice cannot be read; the error says which, never its value.
        read.map(|axum::extract::Query(query)| Query(query)).map_err(|e| {
            let why = std::error::Error::source(&e).map_or_else(|| e.body_text(), ToString::to_string);
            Problem::bad("invalid_parameter", format!("the query of the address: {why}; give each parameter once"))
        })
    }
}

/// Which of the media types that there are the request's `Accept` wants most (RFC 9110, 12.5.1): the one with the highest `q`, then
/// the one named most exactly, then the one named first. The first of them all where it wants none, for an answer helps more than a
/// refusal.
pub fn wanted<'o>(headers: &HeaderMap, offers: &[&'o str]) -> &'o str {
    let given = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(String, u16)> = given.flat_map(|value| value.split(',')).map(range).collect();
    let rank = |offer: &str| {
        let (kind, _) = offer.split_once('/')?;
        let exactness = |range: &str| match range {
            _ if range == offer => Some(2),
            "*/*" => Some(0),
            _ => (range.strip_suffix("/*") == Some(kind)).then_some(1),
        };
        // What is said of a type more exactly counts for it, even where it says less.
        let found = ranges.iter().enumerate().filter_map(|(at, (range, q))| Some((exactness(range)?, *q, at)));
        let (exact, q, at) = found.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        (q > 0).then_some((q, exact, std::cmp::Reverse(at)))
    };
    let ranked = offers.iter().filter_map(|offer| Some((rank(offer)?, *offer)));
    let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(offers.first().copied().unwrap_or_default(), |(_, offer)| offer)
}

/// Whether the request's `If-None-Match` names this entity tag, compared weakly (RFC 9110, 13.1.2): its sender has the answer.
pub fn has(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).map(str::trim).any(|one| one.trim_start_matches("W/") == tag || one == "*")
}

/// One media range of an `Accept` header, and its `q` in thousandths.
fn range(text: &str) -> (String, u16) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default().to_ascii_lowercase();
    let q = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let q = q.and_then(|(_, q)| q.trim().parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0);
    (range, (q * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, Uri};

    #[test]
    fn the_form_that_is_wanted_most_is_given() {
        const OFFERS: [&str; 3] = ["application/json", "text/csv", "application/x-ndjson"];
        for (accept, form) in [
            (&[][..], "application/json"),
            (&["text/csv"], "text/csv"),
            (&["text/csv;q=0.5, application/json"], "application/json"),
            (&["application/json;q=0.5, text/csv;q=0.501"], "text/csv"),
            (&["Text/CSV ; header=present ; Q=0.9, */*;q=0.8"], "text/csv"),
            // As exactly as it can be said, then the first.
            (&["*/*, text/csv"], "text/csv"),
            (&["application/*, text/csv"], "text/csv"),
            (&["application/x-ndjson, text/csv"], "application/x-ndjson"),
            (&["application/json", "text/csv"], "application/json"),
            (&["text/*"], "text/csv"),
            (&["application/*"], "application/json"),
            (&["application/*, application/json;q=0.1"], "application/x-ndjson"),
            (&["*/*, application/json;q=0"], "text/csv"),
            // Nothing that there is.
            (&["text/html, image/png"], "application/json"),
            (&["text/csv;q=0"], "application/json"),
            (&["text/csvx, x/text/csv, , ;q=1"], "application/json"),
            (&["text/csv;q=high"], "text/csv"),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(wanted(&headers, &OFFERS), form, "{accept:?}");
        }
    }

    #[test]
    fn an_answer_that_is_there_already_is_known_by_its_tag() {
        for (given, known) in [
            (&[][..], false),
            (&["\"a\""], true),
            (&["\"b\", W/\"a\""], true),
            (&["\"b\"", "\"a\""], true),
            (&["*"], true),
            (&["\"ab\", a"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(has(&headers, "\"a\""), known, "{given:?}");
        }
    }

    #[tokio::test]
    async fn a_parameter_given_twice_is_named_and_its_value_is_not() {
        #[derive(Debug, serde::Deserialize)]
        struct Asked {
            limit: Option<String>,
        }
        let read = async |uri: &'static str| {
            let (mut parts, ()) =
                axum::http::Request::builder().uri(Uri::from_static(uri)).body(()).unwrap().into_parts();
            Query::<Asked>::from_request_parts(&mut parts, &()).await.map(|Query(asked)| asked.limit)
        };
        assert_eq!(read("/?limit=5&other=1&other=2").await.unwrap().as_deref(), Some("5"));
        let problem = read("/?limit=zq7&limit=zq8").await.unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.code()), (400, "invalid_parameter"));
        assert!(problem.detail().contains("`limit`") && !problem.detail().contains("zq"), "{}", problem.detail());
    }
}
