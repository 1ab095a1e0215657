//! What a row is about that is no person: an identity provider, an API key, a project. Persons have a column.
//!
//! Owns where each type says that. It stays where it stands, so that the way back need not know of it.

use super::{PERSON, Shape};
use crate::envelope::Envelope;
use crate::object::Object;
use event::Field;

/// What types of rows are about.
struct Target {
    types: &'static [&'static str],
    /// What it is.
    kind: &'static str,
    /// Members of `event_data` with its id; the first that is there counts.
    id: &'static [&'static str],
    /// The one with its name.
    name: &'static str,
}

const TARGETS: &[Target] = &[
    // Contember's own API names a provider by its slug. Its page has another name for that.
    Target {
        types: &["idp_create", "idp_update", "idp_enable", "idp_disable", "idp_disconnect"],
        kind: PROVIDER,
        id: &["id", "slug", "identityProvider"],
        name: "slug",
    },
    Target { types: &["api_key_create", "api_key_disable"], kind: "API key", id: &["apiKeyId"], name: "description" },
    Target {
        types: &["project_create", "project_update", "project_secret_change"],
        kind: PROJECT,
        id: &["slug"],
        name: "name",
    },
    // An API key is a member without a person.
    Target { types: MEMBERSHIPS, kind: "identity", id: &["identityId"], name: "" },
    Target { types: &["auth_policy_change"], kind: "authentication policy", id: &["id"], name: "" },
];

const PROVIDER: &str = "identity provider";
const PROJECT: &str = "project";
const MEMBERSHIPS: &[&str] = &["project_membership_create", "project_membership_update", "project_membership_remove"];

/// There is one template for each of these, all three together.
const TEMPLATE: [&str; 3] = ["projectSlug", "mailType", "variant"];

/// Fills the target of a row whose column for a person did not, and the project of a membership. `listed` is the row's data where it is
/// no object in the row.
pub(super) fn fill<'a>(
    kind: &str,
    shape: &Shape,
    native: &mut Object<'a>,
    mut listed: Option<&mut Object<'a>>,
    out: &mut Envelope<'a>,
) {
    if out.is_empty(Field::TargetId) {
        target(kind, shape, native, listed.as_deref_mut(), out);
    }
    if kind == "person_invite"
        && let Some((typed, _)) = shape.fields.iter().find(|(_, field)| *field == Field::Identifier)
    {
        out.copy(native, typed, Field::TargetName);
        if !out.is_empty(Field::TargetName) {
            out.set(Field::TargetType, PERSON);
        }
    }
    // Nobody was signed out, so that no column names whom it was tried with.
    if kind == "forced_sign_out" && out.is_empty(Field::TargetId) {
        out.copy(native, "metadata.requestedPersonId", Field::TargetId);
        if !out.is_empty(Field::TargetId) {
            out.set(Field::TargetType, PERSON);
        }
    }
    // Whose sessions a provider ended, by the name that it has for them.
    if kind == "idp_backchannel_logout"
        && let Some(data) = listed.as_deref_mut().or_else(|| native.inner(shape.data))
    {
        out.copy(data, "sub", Field::SubjectId);
    }
    if MEMBERSHIPS.contains(&kind)
        && let Some(data) = listed.or_else(|| native.inner(shape.data))
    {
        out.copy(data, "projectId", Field::SubjectId);
        if !out.is_empty(Field::SubjectId) {
            out.set(Field::SubjectType, PROJECT);
        }
    }
}

fn target<'a>(
    kind: &str,
    shape: &Shape,
    native: &mut Object<'a>,
    mut listed: Option<&mut Object<'a>>,
    out: &mut Envelope<'a>,
) {
    match kind {
        "mail_template_change" => template(listed.as_deref_mut().or_else(|| native.inner(shape.data)), out),
        "tenant_config_change" => {
            // There is one, and it has no name.
            out.infer(Field::TargetId, "\"configuration\"");
            out.set(Field::TargetType, "tenant configuration");
        }
        _ => {}
    }
    let Some(target) = TARGETS.iter().find(|target| target.types.contains(&kind)) else { return };
    if target.kind == PROVIDER {
        out.copy(native, shape.provider, Field::TargetId);
    }
    if let Some(data) = listed.or_else(|| native.inner(shape.data)) {
        target.id.iter().for_each(|name| out.copy(data, name, Field::TargetId));
        out.copy(data, target.name, Field::TargetName);
    }
    if !out.is_empty(Field::TargetId) {
        out.set(Field::TargetType, target.kind);
    }
}

fn template(data: Option<&mut Object<'_>>, out: &mut Envelope<'_>) {
    let Some(data) = data else { return };
    let parts: Vec<_> = TEMPLATE.iter().filter_map(|name| data.text(name)).filter(|part| !part.is_empty()).collect();
    if !parts.is_empty() {
        out.set(Field::TargetId, parts.join("/"));
        out.set(Field::TargetType, "mail template");
        out.copy(data, "mailType", Field::TargetName);
    }
}
