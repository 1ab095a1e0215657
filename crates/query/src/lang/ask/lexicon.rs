//! What people call things: columns, states, events, verbs and kinds, per view.
//!
//! Owns: tables only. Not here: how they are put together (`clause`).

use crate::lang::views::View;

mod actions;
mod columns;

pub(super) use actions::{event, verb};
pub(super) use columns::{columns, shy, states};

/// Words that carry no condition; used silently.
#[rustfmt::skip]
pub(super) const FILLERS: &[&str] = &[
    "show", "me", "us", "all", "any", "list", "find", "get", "display", "give", "search", "fetch", "see", "view",
    "look", "up", "tell", "bring", "the", "a", "an", "of", "please", "i", "we", "want", "need", "like", "to", "what",
    "which", "that", "who", "whom", "whose", "when", "where", "was", "were", "is", "are", "be", "been", "being",
    "did", "do", "does", "have", "has", "had", "there", "in", "on", "at", "and", "or", "my", "our", "can", "could",
    "would", "you", "let", "every", "each", "only", "just", "it", "its", "their", "them", "they", "he", "she", "his",
    "her", "this", "these", "those", "log", "logs", "record", "records", "entry", "entries", "row", "rows", "result",
    "results", "item", "items", "happened", "happen", "occurred", "occur", "took", "take", "place", "with", "from",
    "by", "for", "as", "also", "then", "so", "everything", "anything", "something", "anyone", "anybody", "someone",
    "somebody", "everyone", "everybody", "people", "made", "make", "performed", "perform", "done", "latest", "recent",
    "recently", "last", "times", "time", "how", "s", "field", "column", "value", "equal", "-", "–", "—", "&", "if",
    "am", "will", "shall", "should", "out", "having", "existing", "belonging", "belongs", "related", "concerning",
    "occurring", "happening", "whether", "currently", "still", "already", "now", "different", "some", "ones", "one",
    "total", "overall", "ever", "date", "dates", "via", "using", "through", "but", "both", "either", "about",
    "recorded", "logged", "thanks", "hi", "hello", "hey", "know", "check", "pull", "return", "retrieve", "filter",
    "use", "uses", "query", "available", "send", "deliver", "reach", "why", "things", "thing", "stuff", "instances",
    "occurrences", "taken", "distinct", "unique", "within", "during",
];

/// Words at which an unquoted value ends.
#[rustfmt::skip]
pub(super) const STOPS: &[&str] = &[
    "and", "or", "but", "nor", "where", "with", "without", "from", "by", "for", "that", "which", "who", "whose",
    "when", "while", "since", "except", "excluding", "having", "via", "using", "through", "please", "then", "during",
    "between", "before", "after", "until", "per", "whom", "plus", "as",
];

/// Words at which a value after a preposition or a verb ends besides [`STOPS`].
#[rustfmt::skip]
pub(super) const STRICT_STOPS: &[&str] = &[
    "to", "in", "on", "at", "of", "the", "is", "are", "was", "were", "did", "do", "does", "has", "have", "had", "not",
    "within", "over", "about", "been", "be", "a", "an",
];

/// Words that negate what follows.
#[rustfmt::skip]
pub(super) const NEGATIONS: &[&str] = &[
    "not", "never", "isn't", "aren't", "wasn't", "weren't", "didn't", "doesn't", "don't", "hasn't", "haven't",
    "hadn't", "cannot", "can't", "couldn't", "without", "except", "excluding", "neither", "nor", "non", "no",
    "besides", "isnt", "doesnt", "dont", "arent", "wasnt", "ignoring", "excl", "minus", "none",
];

/// What an adjective says: column and value.
pub(super) fn adjective(view: View, low: &str) -> Option<(&'static str, &'static str)> {
    let failed = matches!(
        low,
        "failed"
            | "failing"
            | "failure"
            | "failures"
            | "fail"
            | "fails"
            | "unsuccessful"
            | "unsuccessfully"
            | "failled"
    );
    let success = matches!(
        low,
        "successful" | "succeeded" | "success" | "successes" | "succeed" | "successfully" | "succeeding" | "succeeds"
    );
    match view {
        View::AuditLogs | View::EventLogs | View::Records => match low {
            _ if failed => Some(("outcome", "failure")),
            _ if success => Some(("outcome", "success")),
            "denied" | "denials" | "denial" | "deny" => Some(("outcome", "deny")),
            "errors" if view == View::Records => Some(("level", "error")),
            "warnings" if view == View::Records => Some(("level", "warn")),
            _ => None,
        },
        View::JobLogs => match low {
            _ if failed => Some(("latest_status", "failed")),
            _ if success => Some(("latest_status", "success")),
            "completed" => Some(("latest_status", "success")),
            "running" => Some(("latest_status", "running")),
            "pending" => Some(("latest_status", "pending")),
            _ => None,
        },
        View::NotificationLogs => match low {
            _ if failed => Some(("status", "failed")),
            _ if success => Some(("status", "sent")),
            "sent" | "delivered" => Some(("status", "sent")),
            "pending" => Some(("status", "pending")),
            "bounced" | "bounce" | "bounces" | "bouncing" => Some(("status", "bounced")),
            _ => None,
        },
        View::Sessions | View::Grants => match low {
            "active" => Some(("status", "active")),
            "expired" | "expire" => Some(("status", "expired")),
            "revoked" | "revoke" => Some(("status", "revoked")),
            "oidc" | "saml" if view == View::Sessions => {
                Some(("protocol", if low == "saml" { "saml" } else { "oidc" }))
            }
            _ => None,
        },
    }
}

/// The adjectives that say the opposite of a state.
pub(super) fn unadjective(view: View, low: &str) -> Option<(&'static str, &'static str)> {
    match (view, low) {
        (View::Sessions | View::Grants, "inactive") => Some(("status", "active")),
        (View::NotificationLogs, "undelivered" | "unsent") => Some(("status", "sent")),
        _ => None,
    }
}

/// Identity providers that people name without saying "provider".
#[rustfmt::skip]
pub(super) const PROVIDERS: &[&str] = &[
    "google", "azure", "azure ad", "entra", "entra id", "microsoft", "okta", "github", "gitlab", "facebook", "apple",
    "linkedin", "local", "ldap", "auth0", "keycloak", "ping", "onelogin", "adfs",
];

/// Browsers and systems that show in a user agent.
#[rustfmt::skip]
pub(super) const AGENTS: &[&str] = &[
    "chrome", "chromium", "firefox", "safari", "edge", "opera", "brave", "curl", "postman", "android", "iphone",
    "ipad", "ios", "windows", "macos", "linux", "python", "okhttp", "wget",
];

/// What kind of thing a noun names: the column a name before it belongs to.
pub(super) fn kind(view: View, low: &str) -> Option<&'static str> {
    let provider = matches!(low, "provider" | "providers" | "idp" | "idps");
    let client = matches!(low, "client" | "clients" | "app" | "apps" | "application" | "applications");
    let target = matches!(
        low,
        "group"
            | "groups"
            | "role"
            | "roles"
            | "user"
            | "users"
            | "template"
            | "templates"
            | "tenant"
            | "tenants"
            | "policy"
            | "policies"
            | "permission"
            | "permissions"
            | "secret"
            | "secrets"
            | "certificate"
            | "certificates"
            | "key"
            | "keys"
            | "setting"
            | "settings"
            | "configuration"
            | "config"
            | "account"
            | "accounts"
            | "organization"
            | "organizations"
            | "organisation"
            | "team"
            | "teams"
            | "project"
            | "projects"
            | "connection"
            | "connections"
            | "domain"
            | "domains"
            | "scope"
            | "scopes"
            | "webhook"
            | "webhooks"
            | "token"
            | "tokens"
            | "schema"
            | "schemas"
            | "identity"
            | "identities"
            | "invitation"
            | "invitations"
            | "flow"
            | "flows"
            | "membership"
            | "memberships"
    );
    match view {
        View::AuditLogs if provider || client || target => Some("target"),
        View::EventLogs if provider => Some("provider_name"),
        View::EventLogs if client => Some("client_name"),
        View::Grants if provider => Some("provider"),
        View::Grants if client => Some("client"),
        View::Sessions if client => Some("client_id"),
        View::Records if provider => Some("provider_name"),
        View::Records if client => Some("client_name"),
        View::Records if target => Some("target_name"),
        _ => None,
    }
}

/// A plural as its singular, as far as these nouns go.
pub(super) fn singular(low: &str) -> String {
    if let Some(stem) = low.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for ending in ["sses", "xes", "ches", "shes"] {
        if low.ends_with(ending) {
            return low[..low.len() - 2].to_owned();
        }
    }
    match low.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') && stem.len() > 1 && !low.ends_with("us") => stem.to_owned(),
        _ => low.to_owned(),
    }
}

/// The nouns that name the rows of the view themselves.
pub(super) fn row(view: View, low: &str) -> bool {
    match view {
        View::AuditLogs => matches!(
            low,
            "action"
                | "actions"
                | "audit"
                | "audits"
                | "event"
                | "events"
                | "activity"
                | "activities"
                | "operation"
                | "operations"
        ),
        View::EventLogs => matches!(
            low,
            "event" | "events" | "attempt" | "attempts" | "activity" | "authentication" | "user" | "users"
        ),
        View::JobLogs => matches!(
            low,
            "job" | "jobs" | "task" | "tasks" | "run" | "runs" | "ran" | "execution" | "executions" | "background"
        ),
        View::NotificationLogs => matches!(
            low,
            "notification"
                | "notifications"
                | "email"
                | "emails"
                | "e-mail"
                | "e-mails"
                | "mail"
                | "mails"
                | "message"
                | "messages"
                | "receive"
                | "received"
                | "receives"
                | "got"
        ),
        View::Sessions => matches!(low, "session" | "sessions" | "user" | "users"),
        View::Grants => matches!(
            low,
            "grant" | "grants" | "consent" | "consents" | "user" | "users" | "authorization" | "authorizations"
        ),
        View::Records => matches!(low, "event" | "events" | "action" | "actions" | "audit"),
    }
}

/// Words that say "at this time" of the view's own time column, if a time follows.
pub(super) fn own_time(view: View, low: &str) -> bool {
    let common = matches!(
        low,
        "created"
            | "logged"
            | "recorded"
            | "timestamp"
            | "dated"
            | "happened"
            | "occurred"
            | "time"
            | "date"
            | "happening"
    );
    common
        || match view {
            View::JobLogs => matches!(
                low,
                "started" | "ran" | "run" | "queued" | "start" | "launched" | "scheduled" | "begun" | "began"
            ),
            View::NotificationLogs => matches!(low, "sent" | "delivered" | "send" | "mailed"),
            View::Sessions => matches!(low, "started" | "opened" | "established" | "begun" | "open"),
            View::Grants => matches!(low, "given" | "granted" | "issued" | "added"),
            _ => false,
        }
}

/// The column of the person a view is about, which "who" puts first.
pub(super) fn person(view: View) -> Option<&'static str> {
    match view {
        View::AuditLogs => Some("actor"),
        View::EventLogs | View::Grants => Some("email"),
        View::NotificationLogs => Some("recipient"),
        View::Sessions => Some("user_id"),
        View::Records => Some("actor_email"),
        View::JobLogs => None,
    }
}
