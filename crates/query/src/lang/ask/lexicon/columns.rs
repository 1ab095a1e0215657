//! What people call the columns of each view, and which of them are closed.

use crate::lang::views::View;

/// A column's names, squashed (no spaces, `_`, `-`; singular).
pub(in crate::lang::ask) type Names = &'static [(&'static str, &'static [&'static str])];

/// The columns of a view with what they are called.
pub(in crate::lang::ask) fn columns(view: View) -> Names {
    match view {
        View::AuditLogs => &[
            ("action", &["action", "actionname", "actiontype", "operation", "eventtype", "typeofaction"]),
            ("target", &["target", "targetname", "resource", "targetresource", "affectedresource"]),
            ("actor", &["actor", "actorname", "actoremail", "performer", "administrator", "performedby"]),
            ("subject", &["subject", "subjectname"]),
            ("client_actor", &["clientactor", "client", "application", "app"]),
            ("comments", &["comment", "justification", "adminnote"]),
            ("timestamp", &["timestamp", "time", "created", "createdat", "createdon", "date"]),
            ("old_entity", &["oldentity", "oldvalue", "oldstate", "previousstate", "before"]),
            ("new_entity", &["newentity", "newvalue", "newstate"]),
            ("diff", &["diff", "difference"]),
            ("outcome", &["outcome", "result", "status"]),
            (
                "ip_address",
                &["ipaddress", "ip", "ipaddr", "sourceip", "clientip", "address", "sourceaddress", "sourceipaddress"],
            ),
            ("request_id", &["requestid", "request"]),
            ("source", &["source", "sourcesystem", "system"]),
            ("details", &["detail"]),
        ],
        View::EventLogs => &[
            ("event_type", &["eventtype", "event", "typeofevent", "type", "eventname", "action"]),
            (
                "client_name",
                &[
                    "clientname",
                    "client",
                    "application",
                    "applicationname",
                    "app",
                    "appname",
                    "clientapplication",
                    "clientapp",
                ],
            ),
            (
                "provider_name",
                &[
                    "providername",
                    "provider",
                    "identityprovider",
                    "identityprovidername",
                    "idp",
                    "idpname",
                    "authprovider",
                    "loginprovider",
                ],
            ),
            ("created_on", &["createdon", "created", "createdat", "timestamp", "time", "date"]),
            ("email", &["email", "emailaddress", "useremail", "mail", "useremailaddress"]),
            ("username", &["username", "loginname"]),
            (
                "ip_address",
                &["ipaddress", "ip", "ipaddr", "sourceip", "clientip", "address", "sourceaddress", "sourceipaddress"],
            ),
            ("user_agent", &["useragent", "browser", "device", "ua", "agent"]),
            ("outcome", &["outcome", "result", "status"]),
            ("error_code", &["errorcode", "error"]),
            ("session_id", &["sessionid", "session"]),
            ("request_id", &["requestid", "request"]),
            ("source", &["source", "sourcesystem", "system"]),
            ("details", &["detail"]),
        ],
        View::JobLogs => &[
            ("job_id", &["jobid", "id"]),
            ("job_name", &["jobname", "name", "job"]),
            ("job_type", &["jobtype", "type", "typeofjob", "jobcategory", "category"]),
            ("message", &["message", "errormessage", "jobmessage", "error"]),
            ("latest_status", &["lateststatus", "status", "jobstatus", "state", "currentstatus"]),
            ("created_at", &["createdat", "created", "createdon", "timestamp", "starttime", "time", "startedat"]),
            (
                "updated_at",
                &["updatedat", "updated", "updatedon", "lastupdate", "lastupdated", "lastupdatedat", "updatetime"],
            ),
            ("stacktrace", &["stacktrace", "trace", "backtrace"]),
            ("details", &["detail"]),
        ],
        View::NotificationLogs => &[
            (
                "subject",
                &[
                    "subject",
                    "emailsubject",
                    "subjectline",
                    "mailsubject",
                    "notificationsubject",
                    "messagesubject",
                    "title",
                ],
            ),
            (
                "recipient",
                &[
                    "recipient",
                    "to",
                    "toaddress",
                    "addressee",
                    "recipientaddress",
                    "recipientemail",
                    "emailaddress",
                    "sentto",
                    "receiver",
                ],
            ),
            ("cc", &["cc", "ccaddress", "carboncopy", "ccrecipient", "ccd", "cced"]),
            ("bcc", &["bcc", "bccaddress", "blindcarboncopy", "bccrecipient", "bccd", "bcced"]),
            ("timestamp", &["timestamp", "time", "created", "createdat", "createdon", "date", "sentat"]),
            ("status", &["status", "deliverystatus", "emailstatus", "state", "notificationstatus"]),
            (
                "category",
                &["category", "emailcategory", "emailtype", "type", "kind", "notificationtype", "notificationcategory"],
            ),
            ("body", &["body", "emailbody", "content", "messagebody", "text"]),
            ("details", &["detail"]),
        ],
        View::Sessions => &[
            ("session_id", &["sessionid", "session", "id"]),
            ("protocol", &["protocol"]),
            ("client_id", &["clientid", "client", "application", "app", "applicationid", "appid"]),
            ("user_id", &["userid", "user", "owner", "useridentifier"]),
            ("created_at", &["createdat", "created", "createdon", "timestamp", "starttime", "time"]),
            (
                "expires_at",
                &[
                    "expiresat",
                    "expiry",
                    "expiration",
                    "expirydate",
                    "expirationdate",
                    "expireat",
                    "expirytime",
                    "expirationtime",
                ],
            ),
            ("status", &["status", "state", "sessionstatus", "currentstatus"]),
            ("details", &["detail"]),
        ],
        View::Grants => &[
            ("grant_id", &["grantid", "grant", "id"]),
            ("email", &["email", "emailaddress", "useremail", "mail", "user", "owner"]),
            ("provider", &["provider", "providername", "identityprovider", "idp"]),
            (
                "client",
                &["client", "clientname", "application", "applicationname", "app", "appname", "clientapplication"],
            ),
            ("session_id", &["sessionid", "session"]),
            ("created_at", &["createdat", "created", "createdon", "timestamp", "time", "consenttime"]),
            ("status", &["status", "state", "grantstatus", "currentstatus"]),
            ("details", &["detail"]),
        ],
        View::Records => &[
            ("action", &["action", "eventtype", "event"]),
            ("log", &["log", "logname"]),
            ("outcome", &["outcome", "result"]),
            ("level", &["level", "severity"]),
            ("actor_email", &["actor", "actoremail"]),
            ("email", &["email", "emailaddress", "useremail"]),
            ("username", &["username"]),
            ("target_name", &["target", "targetname", "resource"]),
            ("client_name", &["client", "clientname", "application", "app"]),
            ("provider_name", &["provider", "providername", "identityprovider", "idp"]),
            ("ip", &["ip", "ipaddress", "sourceip", "address"]),
            ("user_agent", &["useragent", "browser", "device"]),
            ("source", &["source", "system", "sourcesystem"]),
            ("error_code", &["errorcode", "error"]),
            ("message", &["message"]),
            ("request_id", &["requestid", "request"]),
            ("session_id", &["sessionid", "session"]),
            ("time", &["time", "timestamp", "created", "createdat", "createdon", "date"]),
        ],
    }
}

/// Column names that are also plain nouns of the view, so they need an operator or a typed value after them.
pub(in crate::lang::ask) fn shy(view: View, name: &str) -> bool {
    matches!(
        (view, name),
        (
            View::EventLogs,
            "event"
                | "session"
                | "request"
                | "action"
                | "error"
                | "agent"
                | "device"
                | "time"
                | "date"
                | "created"
                | "type"
        ) | (
            View::AuditLogs,
            "action"
                | "resource"
                | "request"
                | "time"
                | "date"
                | "created"
                | "before"
                | "client"
                | "application"
                | "app"
                | "administrator"
                | "system"
        ) | (View::JobLogs, "job" | "id" | "created" | "updated" | "time" | "error" | "trace" | "name" | "state")
            | (
                View::NotificationLogs,
                "to" | "time" | "date" | "created" | "text" | "content" | "kind" | "type" | "sentto"
            )
            | (View::Sessions, "session" | "id" | "created" | "time" | "expireat")
            | (View::Grants, "grant" | "id" | "created" | "time" | "user" | "session")
            | (
                View::Records,
                "event" | "action" | "log" | "session" | "request" | "time" | "date" | "created" | "error" | "address"
            )
    )
}

/// The states of a view's status column; closed, so that they are recognised anywhere.
pub(in crate::lang::ask) fn states(view: View, column: &str) -> &'static [&'static str] {
    match (view, column) {
        (View::JobLogs, "latest_status") => &["pending", "running", "success", "failed", "cancelled"],
        (View::NotificationLogs, "status") => &["pending", "sent", "failed", "bounced"],
        (View::Sessions | View::Grants, "status") => &["active", "expired", "revoked"],
        (_, "outcome") => &["success", "failure", "deny", "unknown"],
        (View::Sessions, "protocol") => &["oidc", "saml", "oauth2", "oauth"],
        (View::Records, "level") => &["info", "warn", "error"],
        _ => &[],
    }
}
