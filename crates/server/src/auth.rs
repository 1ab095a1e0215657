//! Who is asking, and what they may do: keys, tenants and scopes.
//!
//! A wrong or missing key is 401, a missing scope 403, and another tenant's anything 404, so that tenants
//! cannot see that others exist.

use crate::app::App;
use crate::problem::Problem;
use axum::http::{HeaderMap, StatusCode, header};
use catalog::{Principal, Scopes, Tenant};
use query::Access;
use std::sync::Arc;

/// A caller let in to a tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Their key.
    pub principal: Principal,
    /// The tenant.
    pub tenant: Arc<Tenant>,
}

impl Caller {
    /// What they may see.
    pub fn access(&self) -> Access {
        Access { bodies: self.principal.scopes.contains(Scopes::READ_BODY) }
    }
}

/// The key in the request.
///
/// # Errors
/// 401 where there is none or it is wrong.
pub fn principal(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let value =
        headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorized("send a key: `Authorization: Bearer KEY`"))?;
    let key = value
        .to_str()
        .ok()
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(|| unauthorized("the Authorization header is not `Bearer KEY`"))?;
    app.store().catalog().authenticate(key).ok_or_else(|| unauthorized("the key is wrong or was revoked"))
}

/// Lets a caller in to a tenant for something that needs a scope.
///
/// # Errors
/// 401, 403 or 404.
pub fn caller(app: &App, headers: &HeaderMap, slug: &str, scope: Scopes) -> Result<Caller, Problem> {
    let principal = principal(app, headers)?;
    let tenant = app.store().catalog().tenant(slug);
    let tenant = match (principal.tenant, tenant) {
        (_, None) => return Err(Problem::not_found()),
        (Some(own), Some(tenant)) if own != tenant.number => return Err(Problem::not_found()),
        (_, Some(tenant)) => tenant,
    };
    require(&principal, scope)?;
    Ok(Caller { principal, tenant })
}

/// As [`caller`], for writing: an administrator's first write makes the tenant.
///
/// # Errors
/// 401, 403, 404, or 400 for a name that no tenant can have.
pub fn writer(app: &App, headers: &HeaderMap, slug: &str) -> Result<Caller, Problem> {
    let principal = principal(app, headers)?;
    if principal.tenant.is_none() && app.store().catalog().tenant(slug).is_none() {
        require(&principal, Scopes::WRITE)?;
        let (tenant, _) = app.store().catalog().create_tenant(slug, "{}", app.store().now())?;
        return Ok(Caller { principal, tenant });
    }
    caller(app, headers, slug, Scopes::WRITE)
}

/// An administrator of the installation.
///
/// # Errors
/// 401; 404 for a tenant's key, which may not know that the address exists.
pub fn administrator(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let principal = principal(app, headers)?;
    if principal.tenant.is_some() {
        return Err(Problem::not_found());
    }
    require(&principal, Scopes::ADMIN)?;
    Ok(principal)
}

fn require(principal: &Principal, scope: Scopes) -> Result<(), Problem> {
    if principal.scopes.contains(scope) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "missing_scope",
        format!("this key lacks the scope `{scope}`; it has {}", principal.scopes),
    ))
}
