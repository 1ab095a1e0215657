//! The ledger's own files, as C2SP tlog-tiles names them: checkpoint, tiles, entry bundles, verifier key.
//!
//! They hold no personal data. Without a key they are shown if the installation says so; a key that is sent
//! must still be one of the tenant's.

use crate::app::App;
use crate::auth;
use crate::problem::Problem;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, Tenant};
use ledger::checkpoints::Published;
use merkle::tile::{Resource, parse_path};
use std::sync::Arc;

fn tenant(app: &App, headers: &HeaderMap, slug: &str) -> Result<Arc<Tenant>, Problem> {
    if headers.contains_key(header::AUTHORIZATION) || !app.options.public_ledger {
        return Ok(auth::caller(app, headers, slug, Scopes::READ)?.tenant);
    }
    app.store().catalog().tenant(slug).ok_or_else(Problem::not_found)
}

/// The newest published checkpoint.
///
/// # Errors
/// Where none could be signed.
pub async fn newest(app: &App, tenant: &Arc<Tenant>) -> Result<Arc<Published>, Problem> {
    let _turn = app.reads.acquire().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
    let (app, tenant) = (app.clone(), Arc::clone(tenant));
    tokio::task::spawn_blocking(move || {
        app.store().checkpoints().newest(app.store().ledger(), tenant.number, &tenant.slug)
    })
    .await
    .map_err(|e| Problem::internal("the checkpoint could not be signed", &e))?
    .map_err(|e| Problem::internal("the checkpoint could not be signed", &e))
}

/// `GET /t/{tenant}/log/checkpoint`.
///
/// # Errors
/// A problem document.
pub async fn checkpoint(
    State(app): State<App>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = tenant(&app, &headers, &slug)?;
    let published = newest(&app, &tenant).await?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")],
        published.note.clone(),
    )
        .into_response())
}

/// `GET /t/{tenant}/log/vkey`: the verifier key, one line.
///
/// # Errors
/// A problem document.
pub async fn vkey(State(app): State<App>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let tenant = tenant(&app, &headers, &slug)?;
    let key = app
        .store()
        .checkpoints()
        .key(tenant.number, &tenant.slug)
        .map_err(|e| Problem::internal("the key could not be read", &e))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{}\n", key.vkey())).into_response())
}

/// `GET /t/{tenant}/log/tile/…`: a hash tile or an entry bundle of the published tree.
///
/// # Errors
/// A problem document; 404 for a tile that the published checkpoint does not imply.
pub async fn tile(
    State(app): State<App>,
    Path((slug, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = tenant(&app, &headers, &slug)?;
    let resource = parse_path(&format!("tile/{path}")).map_err(|e| Problem::bad("invalid_tile", e.to_string()))?;
    let published = newest(&app, &tenant).await?;
    let of = match &resource {
        Resource::Hashes(t) | Resource::Entries(t) => *t,
    };
    if !of.is_within(published.size) {
        return Err(Problem::not_found());
    }
    let _turn = app.reads.clone().acquire_owned().await.map_err(|e| Problem::internal("the server is stopping", &e))?;
    let bytes = tokio::task::spawn_blocking(move || match resource {
        Resource::Hashes(t) => app.store().tile(&tenant, t).map(|b| b.as_ref().clone()),
        Resource::Entries(t) => app.store().bundle(&tenant, t),
    })
    .await
    .map_err(|e| Problem::internal("the tile could not be made", &e))??;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}
