-- Contember's table person_auth_log, as its engine's migrations leave it.
--
-- From contember/contember at 72c16095, packages/engine-tenant-api/src/migrations: `id` to `metadata` are of
-- 2025-04-17-160000-auth-log.ts, `target_person_id` and `event_data` of 2026-05-13-120000-auth-log-event-data.ts,
-- `geo_country` and `device_fingerprint` of later ones. Columns, defaults, indexes and all 54 values of the type are those of
-- snapshot.ts, their final state. The engine keeps them in the schema `tenant`.
--
-- Of the four tables that the foreign keys point to only the ids are here: nothing else of them is read.

CREATE SCHEMA tenant;
SET search_path = tenant;

CREATE TABLE "identity" ("id" "uuid" PRIMARY KEY);
CREATE TABLE "person" ("id" "uuid" PRIMARY KEY);
CREATE TABLE "person_token" ("id" "uuid" PRIMARY KEY);
CREATE TABLE "identity_provider" ("id" "uuid" PRIMARY KEY);

CREATE TYPE "auth_log_type" AS ENUM (
    'login',
    'create_session_token',
    'idp_login',
    'password_reset_init',
    'password_reset',
    'password_change',
    'email_change',
    '2fa_disable',
    '2fa_enable',
    'passwordless_login_init',
    'passwordless_login_exchange',
    'passwordless_login',
    'person_disable',
    'session_revoked_by_user',
    'forced_sign_out',
    'global_role_grant',
    'global_role_revoke',
    'project_membership_create',
    'project_membership_update',
    'project_membership_remove',
    'api_key_create',
    'api_key_disable',
    'idp_create',
    'idp_update',
    'idp_disable',
    'idp_enable',
    'project_create',
    'project_update',
    'project_secret_change',
    'mail_template_change',
    'tenant_config_change',
    'person_invite',
    'backup_code_generated',
    'backup_code_used',
    'backup_code_regenerated',
    'email_otp_sent',
    'mfa_enrollment_required',
    'mfa_reset',
    'session_expired_idle',
    'session_policy_applied',
    'auth_policy_change',
    'email_verify_init',
    'email_verify_complete',
    'email_change_init',
    'email_change_complete',
    'idp_session_revalidated',
    'idp_session_revoked',
    'idp_session_revalidation_failed',
    'unusual_login_detected',
    'step_up_required',
    'idp_logout_initiated',
    'idp_backchannel_logout',
    'idp_role_mapped',
    'idp_role_mapping_failed'
);

CREATE TABLE "person_auth_log" (
    "id" "uuid" NOT NULL PRIMARY KEY,
    "created_at" timestamp with time zone DEFAULT "now"() NOT NULL,
    "invoked_by_id" "uuid" REFERENCES "identity" ON DELETE SET NULL,
    "person_id" "uuid" REFERENCES "person" ON DELETE SET NULL,
    "person_token_id" "uuid" REFERENCES "person_token" ON DELETE SET NULL,
    "person_input_identifier" "text",
    "type" "auth_log_type" NOT NULL,
    "success" boolean NOT NULL,
    "error_code" "text",
    "error_message" "text",
    "ip_address" "inet",
    "user_agent" "text",
    "identity_provider_id" "uuid" REFERENCES "identity_provider" ON DELETE SET NULL,
    "metadata" "jsonb",
    "target_person_id" "uuid" REFERENCES "person" ON DELETE SET NULL,
    "event_data" "jsonb",
    "geo_country" "text",
    "device_fingerprint" "text"
);
CREATE INDEX ON "person_auth_log" ("person_id", "created_at" DESC);
CREATE INDEX ON "person_auth_log" ("person_input_identifier", "created_at" DESC) WHERE "type" = 'login' AND "success" = false;
CREATE INDEX ON "person_auth_log" ("target_person_id", "created_at" DESC);

INSERT INTO "identity" VALUES ('5b0c3f3e-0d7e-4a53-8f1a-00000000a001');
INSERT INTO "person" VALUES ('5b0c3f3e-0d7e-4a53-8f1a-00000000b001'), ('5b0c3f3e-0d7e-4a53-8f1a-00000000b002');
INSERT INTO "person_token" VALUES ('5b0c3f3e-0d7e-4a53-8f1a-00000000c001');
INSERT INTO "identity_provider" VALUES ('5b0c3f3e-0d7e-4a53-8f1a-00000000d001');
