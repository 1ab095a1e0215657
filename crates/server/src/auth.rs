//! Who is asking, and what they may do: keys, tenants and scopes.
//!
//! A wrong or missing key is 401, a missing scope 403, and another tenant's anything 404, so that tenants
//! cannot see that others exist.

use crate::app::App;
use crate::problem::Problem;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::{Principal, Scopes, Tenant};
use query::Access;
use std::borrow::Cow;
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

/// The key in the request: `Bearer KEY`, or `Basic` with the key as the password and any user, which is all that senders
/// who know only an address can give: `https://user:KEY@host/…`.
///
/// # Errors
/// 401 where there is none or it is wrong.
pub fn principal(app: &App, headers: &HeaderMap) -> Result<Principal, Problem> {
    let unauthorized = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let value =
        headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorized("send a key: `Authorization: Bearer KEY`"))?;
    let key = value.to_str().ok().and_then(key).ok_or_else(|| {
        unauthorized("the Authorization header is neither `Bearer KEY` nor `Basic` with the key as the password")
    })?;
    app.store().catalog().authenticate(&key).ok_or_else(|| unauthorized("the key is wrong or was revoked"))
}

/// The key in an `Authorization` header's text.
fn key(value: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| Cow::Owned(password.to_owned()))
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

/// As [`caller`], for whoever has one of two scopes: `also` is that of those who may begin what is asked about.
///
/// # Errors
/// As [`caller`].
pub fn either(app: &App, headers: &HeaderMap, slug: &str, scope: Scopes, also: Scopes) -> Result<Caller, Problem> {
    let has = principal(app, headers)?.scopes.contains(also);
    caller(app, headers, slug, if has { also } else { scope })
}

/// As [`caller`], for writing: an administrator's first write makes the tenant.
///
/// # Errors
/// 401, 403, 404, or 400 for a name that no tenant can have.
pub fn writer(app: &App, headers: &HeaderMap, slug: &str) -> Result<Caller, Problem> {
    // Some senders keep what stands before the `@` of their address until they are asked for it in this way.
    let principal = principal(app, headers).map_err(Problem::asking_for_basic)?;
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

/// As [`administrator`]. A key of this very tenant is told what it lacks: that the tenant exists is no news to it.
///
/// # Errors
/// As [`administrator`]; 403 for a key of the tenant.
pub fn administrator_of(app: &App, headers: &HeaderMap, slug: &str) -> Result<Principal, Problem> {
    let principal = principal(app, headers)?;
    let own = app.store().catalog().tenant(slug).is_some_and(|tenant| principal.tenant == Some(tenant.number));
    if own {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "administrator_only",
            "only an administrator of the installation changes a tenant's settings; this is a key of the tenant",
        ));
    }
    administrator(app, headers)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_as_a_bearer_or_as_a_password() {
        for (value, found) in [
            ("Bearer ik_1", Some("ik_1")),
            ("bearer  ik_1 ", Some("ik_1")),
            // ory:ik_1, :ik_1, and a key with a colon in it.
            ("Basic b3J5OmlrXzE=", Some("ik_1")),
            ("basic OmlrXzE=", Some("ik_1")),
            ("Basic dTphOmI=", Some("a:b")),
            ("Basic b3J5", None),
            ("Basic ####", None),
            ("Basic /////w==", None),
            ("Basic", None),
            ("Digest b3J5OmlrXzE=", None),
            ("", None),
        ] {
            assert_eq!(key(value).as_deref(), found, "{value}");
        }
    }
}
