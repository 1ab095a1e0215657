//! What the demo promises: repeatable, in order, in the envelope, and with everything in it that can be found.

use super::incidents::Incident;
use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Every name that the four named systems are known to use.
const CATALOGUE: &str = include_str!("names.csv");

/// 2026-11-20 12:34:56 UTC.
const NOW: i64 = 1_795_178_096_000_000;

fn parsed(tenant: &TenantPlan) -> Vec<Value> {
    records(tenant, NOW, 7).map(|text| serde_json::from_str(&text).expect("a record is JSON")).collect()
}

fn at<'v>(record: &'v Value, path: &str) -> &'v str {
    path.split('.').try_fold(record, |value, key| value.get(key)).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let tenants = tenants();
    let all = |seed| records(&tenants[1], NOW, seed).collect::<Vec<_>>();
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
    assert_eq!(incidents(&tenants, NOW, 7), incidents(&tenants, NOW, 7));
}

#[test]
fn records_are_in_order_unique_and_not_from_the_future() {
    let mut ids = BTreeSet::new();
    for tenant in tenants() {
        let records = parsed(&tenant);
        assert!((tenant.records..tenant.records + 50).contains(&records.len()), "{}: {}", tenant.slug, records.len());
        let times: Vec<&str> = records.iter().map(|record| at(record, "time")).collect();
        assert!(times.is_sorted(), "{}", tenant.slug);
        assert!(times[0].starts_with("2026-10-2"), "{}", times[0]);
        assert!(times[times.len() - 1] <= "2026-11-20T12:34:56.000000Z" && times[times.len() - 1] > "2026-11-20T12:00");
        for record in &records {
            assert_eq!(at(record, "time").len(), 27);
            assert!(ids.insert(at(record, "id").to_owned()));
        }
    }
}

/// The envelope's paths that hold text, and those that hold other JSON.
const TEXT: &str = "id log time source action outcome level actor.id actor.type actor.name actor.email actor.identity_id \
    target.id target.type target.name subject.id subject.type subject.name client_actor.id client_actor.name client.id client.name \
    provider.id provider.name request_id trace_id span_id session_id error_code job.id job.name job.type job.status job.stacktrace \
    notification.id notification.status notification.category notification.subject notification.body session.id session.protocol \
    session.status session.expires_at session.user_id grant.id grant.protocol grant.status grant.expires_at grant.user_id \
    identifier email username ip user_agent forwarder_ip forwarder_user_agent message comments";
const JSON: &str =
    "old new attributes irreversible session.scopes session.claims grant.scopes notification.recipient notification.cc";

#[test]
fn every_field_is_one_of_the_envelope_and_nothing_is_empty() {
    let text: BTreeSet<&str> = TEXT.split_whitespace().collect();
    let json: BTreeSet<&str> = JSON.split_whitespace().collect();
    let mut seen = BTreeSet::new();
    for tenant in tenants() {
        for record in parsed(&tenant) {
            let Value::Object(fields) = &record else { panic!("{record}") };
            for (name, value) in fields {
                let parts: Vec<(String, &Value)> = match value {
                    Value::Object(parts) if !json.contains(name.as_str()) => {
                        parts.iter().map(|(key, value)| (format!("{name}.{key}"), value)).collect()
                    }
                    other => vec![(name.clone(), other)],
                };
                for (path, value) in parts {
                    let is_text = value.as_str().is_some_and(|text| !text.is_empty());
                    assert!(
                        json.contains(path.as_str()) || (text.contains(path.as_str()) && is_text),
                        "{path} in {record}"
                    );
                    seen.insert(path);
                }
            }
            assert!(matches!(at(&record, "outcome"), "success" | "failure" | "deny" | "unknown"), "{record}");
            assert!(matches!(at(&record, "level"), "info" | "warn" | "error"), "{record}");
        }
    }
    let unused: Vec<&&str> = text.union(&json).filter(|path| !seen.contains(**path)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn every_log_system_and_state_occurs() {
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for tenant in tenants() {
        for record in parsed(&tenant) {
            for path in [
                "log",
                "source",
                "job.status",
                "notification.status",
                "notification.category",
                "session.status",
                "grant.status",
                "outcome",
            ] {
                found.entry(path).or_default().insert(at(&record, path).to_owned());
            }
        }
    }
    for (path, values) in [
        ("log", "audit event job notification session grant"),
        ("source", "auth-service ory-network ory-nestjs contember asgardeo keycloak"),
        ("job.status", "pending running success failed"),
        ("notification.status", "pending sent failed bounced"),
        ("session.status", "active expired revoked"),
        ("grant.status", "active revoked"),
        ("outcome", "success failure deny unknown"),
    ] {
        for value in values.split(' ') {
            assert!(found[path].contains(value), "{path} is never {value}");
        }
    }
    for category in ["invitation", "password reset", "totp reset"] {
        assert!(found["notification.category"].contains(category), "{category}");
    }
}

/// Whether a record of the view matches a hint: `key:value` or `key:"two words"`, all of them.
fn matches(record: &Value, incident: &Incident) -> bool {
    let log = if incident.view == "audit_logs" { "audit" } else { "event" };
    let mut rest = incident.hint.as_str();
    let mut all = at(record, "log") == log;
    while let Some((key, tail)) = rest.split_once(':') {
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closed quote"),
            None => tail.split_once(' ').unwrap_or((tail, "")),
        };
        let path = if key == "ip_address" { "ip" } else { key };
        all &= at(record, path).eq_ignore_ascii_case(value);
        rest = tail.trim_start();
    }
    all
}

#[test]
fn every_incident_can_be_found_by_its_hint() {
    let tenants = tenants();
    let incidents = incidents(&tenants, NOW, 7);
    for kind in ["brute force", "at 03:12", "revoked session"] {
        let having: BTreeSet<&str> = incidents.iter().filter(|i| i.title.contains(kind)).map(|i| i.tenant).collect();
        assert!(having.len() >= 2, "{kind}: {having:?}");
    }
    for (now, seed) in [(NOW - 11 * random::HOUR, 1), (NOW + 9 * random::HOUR, 2)] {
        for incident in super::incidents(&tenants, now, seed) {
            let tenant = tenants.iter().find(|tenant| tenant.slug == incident.tenant).expect("a tenant");
            let found =
                records(tenant, now, seed).any(|text| matches(&serde_json::from_str(&text).unwrap(), &incident));
            assert!(found, "{incident:?}");
        }
    }
    for incident in &incidents {
        assert!(incident.at > NOW - 6 * DAY && incident.at < NOW, "{incident:?}");
        let tenant = tenants.iter().find(|tenant| tenant.slug == incident.tenant).expect("a tenant");
        let all = parsed(tenant);
        let found: Vec<&Value> = all.iter().filter(|record| matches(record, incident)).collect();
        let from_outside = |record: &&&Value| at(record, "ip").starts_with("203.0.113.");
        if incident.title.contains("brute force") {
            let attack: Vec<&&Value> = found.iter().filter(from_outside).collect();
            let addresses: BTreeSet<&str> = attack.iter().map(|record| at(record, "ip")).collect();
            let (last, failures) = attack.split_last().expect("an attack");
            assert!(failures.len() > 300 && addresses.len() == 4, "{incident:?}");
            assert!(failures.iter().all(|record| at(record, "outcome") == "failure"));
            assert_eq!(at(last, "outcome"), "success");
            let time = |record: &Value| at(record, "time").parse::<jiff::Timestamp>().expect("a time").as_microsecond();
            assert_eq!(time(attack[0]), incident.at);
            assert!(time(last) - time(attack[0]) < 20 * random::MINUTE);
        } else if incident.title.contains("03:12") {
            assert_eq!(found.len(), 1, "{incident:?}");
            assert_eq!(&at(found[0], "time")[11..16], "03:12");
            assert!(found[0].get("old").is_some() && found[0]["old"] != found[0]["new"]);
            let elsewhere = all.iter().filter(|record| at(record, "ip") == at(found[0], "ip")).count();
            assert_eq!(elsewhere, 1, "the address is not unusual");
        } else if incident.title.contains("revoked session") {
            let id = at(found[0], "session_id");
            let of_session: Vec<&Value> = all.iter().filter(|record| at(record, "session_id") == id).collect();
            let revoked = of_session
                .iter()
                .position(|r| at(r, "session.status") == "revoked" || at(r, "action") == "SessionRevoked");
            let used =
                of_session.iter().rposition(|r| at(r, "outcome") == "success" && at(r, "ip").starts_with("203.0.113."));
            assert!(revoked.expect("revoked") < used.expect("used again"), "{incident:?}");
        } else {
            assert_eq!(found.len(), 1, "{incident:?}");
        }
    }
}

#[test]
fn secrets_are_few_and_addresses_belong_to_nobody() {
    let mut secrets = 0;
    for tenant in tenants() {
        for text in records(&tenant, NOW, 7) {
            secrets += usize::from(text.contains("demo-only") || text.contains("eyJ"));
            let record: Value = serde_json::from_str(&text).expect("a record is JSON");
            let ip = at(&record, "ip");
            let reserved = ["10.", "172.", "192.168.", "192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:"];
            assert!(
                ip.is_empty()
                    || (reserved.iter().any(|net| ip.starts_with(net)) && ip.parse::<std::net::IpAddr>().is_ok()),
                "{ip}"
            );
            for email in [at(&record, "email"), at(&record, "actor.email")] {
                assert!(
                    email.is_empty() || email.ends_with(".example.com") || email.ends_with("@example.com"),
                    "{email}"
                );
            }
        }
    }
    assert_eq!(secrets, 3);
}

#[test]
fn names_are_those_of_the_catalogue() {
    let catalogue: BTreeSet<(&str, &str)> = CATALOGUE
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split(',');
            Some((columns.next()?, columns.next()?))
        })
        .collect();
    let mut names = BTreeSet::new();
    for tenant in tenants() {
        for record in parsed(&tenant) {
            let (source, action) = (at(&record, "source"), at(&record, "action"));
            if !matches!(source, "keycloak" | "auth-service") {
                assert!(catalogue.contains(&(source, action)), "{source} has no {action}");
            }
            names.insert(format!("{source} {action}"));
        }
    }
    assert!(names.len() > 150, "{} names", names.len());
}
