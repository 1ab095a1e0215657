//! Verbs of change and names of events, each with the word that an action contains.

/// Verbs of change, in every form, with the word that actions contain.
pub(in crate::lang::ask) fn verb(low: &str) -> Option<&'static str> {
    Some(match low {
        "modified" | "modify" | "modifies" | "modifying" | "modification" | "modifications" | "changed" | "change"
        | "changes" | "changing" | "edited" | "edit" | "edits" | "editing" | "updated" | "update" | "updates"
        | "updating" => "update",
        "created" | "create" | "creates" | "creating" | "creation" | "creations" | "added" | "add" | "adds"
        | "adding" | "addition" | "additions" => "create",
        "deleted" | "delete" | "deletes" | "deleting" | "deletion" | "deletions" | "removed" | "remove" | "removes"
        | "removing" | "removal" | "removals" => "delete",
        "enabled" | "enable" | "enables" | "enabling" => "enable",
        "disabled" | "disable" | "disables" | "disabling" => "disable",
        "assigned" | "assign" | "assigns" | "assigning" | "assignment" | "assignments" => "assign",
        "revoked" | "revoke" | "revokes" | "revoking" | "revocation" | "revocations" => "revoke",
        "granted" | "grant" | "grants" | "granting" => "grant",
        "rotated" | "rotate" | "rotates" | "rotating" | "rotation" | "rotations" => "rotate",
        "imported" | "import" | "imports" | "importing" => "import",
        "exported" | "export" | "exports" | "exporting" => "export",
        "restored" | "restore" | "restores" | "restoring" => "restore",
        "reset" | "resets" | "resetting" => "reset",
        "invited" | "invite" | "invites" | "inviting" => "invite",
        "suspended" | "suspend" | "suspends" => "suspend",
        "locked" | "lock" | "locks" => "lock",
        "unlocked" | "unlock" | "unlocks" => "unlock",
        "approved" | "approve" | "approves" => "approve",
        "rejected" | "reject" | "rejects" => "reject",
        "impersonated" | "impersonate" | "impersonation" | "impersonations" => "impersonat",
        _ => return None,
    })
}

/// Names of events, as one to three words joined by a space, with the word that the type contains.
pub(in crate::lang::ask) fn event(phrase: &str) -> Option<&'static str> {
    Some(match phrase {
        "login" | "logins" | "log in" | "log ins" | "log-in" | "log-ins" | "logged in" | "logging in" | "logs in"
        | "logon" | "logons" | "signin" | "signins" | "sign in" | "sign ins" | "sign-in" | "sign-ins" | "signed in"
        | "signing in" | "signs in" | "login attempt" | "login attempts" | "sign-in attempts" | "sign-in attempt" => {
            "login"
        }
        "logout" | "logouts" | "log out" | "log outs" | "log-out" | "log-outs" | "logged out" | "logging out"
        | "logoff" | "logoffs" | "signout" | "signouts" | "sign out" | "sign outs" | "sign-out" | "sign-outs"
        | "signed out" | "signing out" => "logout",
        "mfa" | "multi-factor" | "multifactor" => "mfa",
        "2fa" => "2fa",
        "totp" => "totp",
        "otp" => "otp",
        "webauthn" => "webauthn",
        "passkey" | "passkeys" => "passkey",
        "password reset"
        | "password resets"
        | "reset password"
        | "reset passwords"
        | "reset their password"
        | "reset his password"
        | "reset her password" => "password reset",
        "password change" | "password changes" | "changed password" | "changed their password" | "password changed" => {
            "password change"
        }
        "lockout" | "lockouts" | "account lockout" | "account lockouts" | "locked out" => "lockout",
        "registration" | "registrations" => "registration",
        "signup" | "signups" | "sign-up" | "sign-ups" | "sign ups" | "sign up" | "signed up" => "signup",
        "token refresh" | "token refreshes" => "token refresh",
        "verification" | "verifications" => "verification",
        "consent" | "consents" => "consent",
        "impersonation" | "impersonations" => "impersonation",
        _ => return None,
    })
}
