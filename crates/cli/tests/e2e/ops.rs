//! What an operator and a script see: health, version, metrics, the description, the front page, the command line.

use crate::server::{BINARY, Home, Server, at, eventually};
use serde_json::{Value, json};
use std::path::Path;

fn event(id: &str) -> Value {
    json!({ "id": id, "log": "event", "time": at(-5), "action": "login", "outcome": "failure", "email": "ann@example.org", "ip": "192.0.2.99" })
}

#[test]
fn health_version_and_metrics_need_no_key_and_name_nobody() {
    let server = Server::start(&[]);
    let nobody = server.admin.anonymous();
    server.admin.write("acme-of-wonderland", &[event("one"), event("two")]);
    server.admin.post("/v1/t/acme-of-wonderland/records", r#"{"log":"syslog"}"#);
    server.admin.page("acme-of-wonderland", "event_logs", &[("q", "email:ann@example.org")]);
    for path in ["/health/live", "/health/alive", "/health/ready"] {
        assert_eq!(nobody.get(path).ok()["status"], "ok", "{path}");
    }
    assert_eq!(nobody.get("/version").ok(), json!({ "name": "indelible", "version": env!("CARGO_PKG_VERSION") }));
    let metrics = nobody.get("/metrics");
    assert!(metrics.header("content-type").starts_with("text/plain"), "{metrics}");
    let text = metrics.text();
    assert!(text.contains("indelible_http_request_seconds"), "requests are timed");
    for word in ["wonderland", "ann@", "192.0.2.99", "127.0.0.1", "administrator"] {
        assert!(!text.contains(word), "a metric names {word}");
    }
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let value = line.rsplit_once(' ').map(|(_, v)| v.parse::<f64>());
        assert!(matches!(value, Some(Ok(_))), "{line:?} is no sample");
    }
    for name in [
        "indelible_tenants 1",
        "indelible_records 2",
        "indelible_records_accepted_total 2",
        r#"indelible_records_rejected_total{code="unknown_value"} 1"#,
    ] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    let logs = server.stop().logs();
    for word in ["ann@example.org", "192.0.2.99"] {
        assert!(!logs.contains(word), "the log names {word}");
    }
}

#[test]
fn the_front_page_says_what_is_running_without_saying_whose() {
    let server = Server::start(&[]);
    let records: Vec<Value> = (0..1234).map(|i| event(&format!("e-{i}"))).collect();
    server.admin.write("acme-of-wonderland", &records);
    let page = server.admin.anonymous().get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = page.text();
    for part in ["Indelible", "1,234", "sealed", "indelible search", "indelible verify", env!("CARGO_PKG_VERSION")] {
        assert!(text.contains(part), "{part:?} is not on the page");
    }
    assert!(
        text.contains(&format!("indelible verify --url {} --tenant", server.url())),
        "its commands work here: {text}"
    );
    assert!(!text.contains("wonderland") && !text.contains('{') || !text.contains("{records}"), "{text}");
    assert!(!text.contains("src=\"http") && !text.contains("href=\"http"), "nothing from elsewhere");
}

#[test]
fn the_description_served_printed_and_committed_is_one() {
    let server = Server::start(&[]);
    let served = server.admin.anonymous().get("/openapi.json").ok();
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1"));
    let printed: Value = serde_json::from_str(&server.home.run(&["openapi"]).ok()).unwrap();
    assert_eq!(served, printed);
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    if let Ok(text) = std::fs::read_to_string(committed) {
        assert_eq!(served, serde_json::from_str::<Value>(&text).unwrap(), "run `make gen`");
    }
    for path in ["/v1/t/{tenant}/records", "/v1/t/{tenant}/sql", "/t/{tenant}/log/checkpoint", "/health/ready"] {
        assert!(served["paths"][path].is_object(), "{path} is not described");
    }
}

#[test]
fn what_is_not_there_is_a_problem_document_with_the_requests_id() {
    let server = Server::start(&[]);
    server.admin.get("/v2/nothing").problem(404, "not_found");
    server.admin.put("/v1/t/acme/records", "{}").problem(405, "method_not_allowed");
    let given = server.admin.get_with("/v1/t/nobody", &[("x-request-id", "req-from-outside-1")]);
    assert_eq!(given.problem(404, "not_found")["request_id"], "req-from-outside-1");
    for id in ["has space", &"x".repeat(129), "caf\u{e9}"] {
        let reply = server.admin.get_with("/health/live", &[("x-request-id", id)]);
        let made = reply.header("x-request-id");
        assert!(made != id && made.len() == 36, "{id:?} is not believed: {made:?}");
    }
    server.admin.post_with("/v1/t/acme/keys", &[("x-request-id", "req-2")], "").problem(404, "not_found");
    server.admin.put("/v1/t/acme", "{}");
    let body = r#"{"name":"n","scopes":["read"]}"#;
    assert_eq!(server.admin.post_with("/v1/t/acme/keys", &[("x-request-id", "req-3")], body).status, 201);
    let page = server.admin.page("acme", "audit_logs", &[]);
    assert_eq!(page["items"][0]["request_id"], "req-3", "the id is stored with what was done: {page}");
}

#[test]
fn the_configuration_is_file_then_environment_then_flags_and_mistakes_are_named() {
    let home = Home::new(&[]);
    let file = home.path().join("c.toml");
    std::fs::write(&file, "host = \"file.example\"\nflush_mib = 7\nlog_level = \"warn\"\n").unwrap();
    let path = file.to_str().unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        crate::server::Done::of(home.command().args(args).envs(env.iter().copied()).output().unwrap())
    };
    let shown = run(
        &["config", "show", "--config", path, "--host", "flag.example"],
        &[("INDELIBLE_FLUSH_MIB", "9"), ("INDELIBLE_HOST", "env.example")],
    )
    .ok();
    for line in [
        "host = \"flag.example\"  # flag",
        "flush_mib = 9  # environment",
        "log_level = \"warn\"  # file",
        "checkpoint_ms = 1000  # default",
        "# high_water is not set",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line:?} is not in {shown}");
    }
    run(&["config", "check", "--config", path], &[]).ok();
    for (name, value) in [
        ("FLUSH_MIB", "0"),
        ("FLUSH_MIB", "1024"),
        ("COMPACTION_SHARE", "2"),
        ("LISTEN", "nowhere"),
        ("CHECKPOINT_MS", "5"),
        ("HOST", "a b"),
        ("TRUSTED_PROXIES", "x"),
    ] {
        let said = run(&["config", "check"], &[(&format!("INDELIBLE_{name}"), value)]).failed(2);
        assert!(said.contains(&name.to_lowercase()), "{name}={value}: {said}");
    }
    std::fs::write(&file, "flsh_mib = 7\n").unwrap();
    let said = run(&["config", "check", "--config", path], &[]).failed(2);
    assert!(said.contains("flsh_mib"), "{said}");
    run(&["serve", "--config", path, "--data", "d"], &[]).failed(2);
    let missing = run(&["config", "check", "--config", "/nowhere/c.toml"], &[]);
    assert!(missing.code == Some(2) && missing.err.contains("/nowhere/c.toml"), "{}", missing.err);
}

#[test]
fn a_misspelt_variable_is_warned_of_by_name_and_never_with_its_value() {
    let settings = [("LISTNE", "zq7value"), ("MY_OWN", "zq7value")];
    let server = Server::start(&settings);
    let logs = server.stop().logs();
    assert!(logs.contains("`INDELIBLE_LISTNE`") && logs.contains("did you mean `INDELIBLE_LISTEN`?"), "{logs}");
    assert!(logs.contains("`INDELIBLE_MY_OWN`") && !logs.contains("zq7value"), "{logs}");
    assert_eq!(logs.matches("INDELIBLE_").count(), 3, "{logs}");
    let home = Home::new(&[]);
    let checked = home.command().args(["config", "check"]).env("INDELIBLE_LISTNE", "x").output().unwrap();
    assert!(String::from_utf8_lossy(&checked.stderr).contains("INDELIBLE_LISTEN") && checked.status.success());
}

#[test]
fn usage_errors_exit_with_2_and_help_version_and_completions_with_0() {
    let home = Home::new(&[]);
    home.run(&["--no-such-flag"]).failed(2);
    home.run(&["serve", "--no-such-flag"]).failed(2);
    home.run(&["no-such-command"]).failed(2);
    home.run(&["search"]).failed(2);
    home.run(&["verify"]).failed(2);
    home.run(&[]).failed(2);
    assert!(home.run(&["--version"]).ok().contains(env!("CARGO_PKG_VERSION")));
    let help = home.run(&["--help"]).ok();
    for command in
        ["serve", "demo", "ingest", "search", "ask", "sql", "tail", "get", "verify", "bench", "config", "completions"]
    {
        assert!(help.contains(&format!("  {command} ")), "{command} is not in {help}");
        assert!(home.run(&[command, "--help"]).ok().contains("Usage:"), "{command}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.run(&["completions", shell]).ok().contains("ingest"), "{shell}");
    }
}

#[test]
fn logs_for_people_hold_no_escape_codes_where_no_terminal_reads_them() {
    let home = Home::new(&[]);
    let mut command = home.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(home.data());
    command.env_remove("NO_COLOR").stdout(std::process::Stdio::null());
    let log = home.path().join("human.log");
    let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let read = || std::fs::read_to_string(&log).unwrap();
    let mut ready = false;
    for _ in 0..1000 {
        ready = ready || read().contains("ready");
        if ready {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let text = read();
    assert!(ready, "{text}");
    assert!(text.contains("ready address=127.0.0.1:"), "{text:?}");
    assert!(!text.contains('\u{1b}'), "escape codes in a file: {text:?}");
}

#[test]
fn the_command_line_reads_and_writes_with_the_exit_codes_of_the_contract() {
    let server = Server::start(&[("CHECKPOINT_MS", "100")]);
    let home = server.home.path();
    let lines: String = (0..250).map(|i| format!("{}\n", event(&format!("cli-{i}")))).collect();
    let file = home.join("records.ndjson");
    std::fs::write(&file, &lines).unwrap();
    let path = file.to_str().unwrap();
    server.cli(&["tenant", "create", "acme"]).ok();
    let counts: Value =
        serde_json::from_str(&server.cli(&["ingest", path, "--tenant", "acme", "--json"]).ok()).unwrap();
    assert_eq!((&counts["accepted"], &counts["rejected"]), (&json!(250), &json!(0)), "{counts}");
    let zipped = home.join("records.zst");
    std::fs::write(&zipped, zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    let args = ["ingest", zipped.to_str().unwrap(), "--tenant", "acme", "--json"];
    let counts: Value = serde_json::from_str(&server.cli(&args).ok()).unwrap();
    assert_eq!((&counts["accepted"], &counts["duplicate"]), (&json!(0), &json!(250)), "sent again: {counts}");
    let key = server.key();
    let bad = server.cli_with(
        &key,
        &["ingest", "-", "--tenant", "acme"],
        b"{\"log\":\"event\",\"action\":\"x\"}\n{\"log\":\"syslog\"}\n",
    );
    assert_eq!(bad.code, Some(6), "a part of it worked: {}", bad.err);
    assert!(bad.err.contains("syslog"), "{}", bad.err);

    let found: Vec<Value> = server
        .cli(&["search", "acme", "outcome:failure", "-o", "jsonl", "--all"])
        .ok()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(found.len(), 250);
    assert!(server.cli(&["search", "acme", "email:ann@example.org", "--limit", "1"]).ok().contains("ann@example.org"));
    assert!(server.cli(&["get", "acme", "cli-7", "--json"]).ok().contains("\"cli-7\""));
    assert!(
        server
            .cli(&["sql", "acme", "select count(*) as n from event_logs where outcome = 'failure'", "-o", "csv"])
            .ok()
            .contains("250")
    );
    assert!(server.cli(&["ask", "acme", "failed logins today", "--view", "event_logs", "--run"]).ok().contains("cli-"));
    assert!(server.cli(&["tenants"]).ok().contains("acme"));
    let made = server.cli(&["key", "create", "acme", "--name", "r", "--scope", "read"]).ok();
    let reader = made.trim();
    assert!(server.cli(&["key", "list", "acme"]).ok().contains("read"));
    server.cli_as(reader, &["search", "acme"]).ok();
    server.cli_as(reader, &["key", "list", "acme"]).failed(4);
    server.cli_as("ind_wrong", &["search", "acme"]).failed(4);
    server.cli_as(reader, &["search", "beta"]).failed(3);
    server.cli(&["get", "acme", "nobody"]).failed(3);
    let said = server.cli(&["search", "acme", "emial:x"]).failed(1);
    assert!(said.contains("email"), "{said}");
    server.cli(&["sql", "acme", "delete from records"]).failed(1);
    let streamed = server.cli(&["tail", "acme", "--after", "i9", "-n", "3", "-o", "jsonl"]).ok();
    assert_eq!(streamed.lines().count(), 3, "{streamed}");
    assert!(streamed.contains("cli-10"), "{streamed}");
    let id = server.admin.get("/v1/t/acme/keys").ok()["items"][0]["id"].as_str().unwrap().to_owned();
    server.cli(&["key", "revoke", "acme", &id]).ok();
    server.cli_as(reader, &["search", "acme"]).failed(4);
    let url = server.url().to_owned();
    let home = server.stop();
    let said = home.run(&["search", "acme", "--url", &url]).failed(7);
    assert!(said.contains(&url), "{said}");
}

#[test]
fn the_demo_fills_tenants_with_records_that_verify_and_incidents_to_find() {
    let home = Home::new(&[]);
    let data = home.data();
    home.run(&["demo", "--fill-only", "--data", data.to_str().unwrap()]).ok();
    let said = home.verify().ok();
    assert!(said.contains("every row hashes to its leaf"), "{said}");
    let server = home.start();
    let tenants = server.admin.get("/v1/t").ok();
    let tenants = tenants["items"].as_array().unwrap();
    assert!(tenants.len() >= 3, "several tenants: {tenants:?}");
    assert!(tenants.iter().all(|t| t["records"].as_u64().unwrap() > 100), "{tenants:?}");
    let sources =
        server.admin.post("/v1/t/acme/query", json!({ "view": "records", "count_by": "log" }).to_string()).ok();
    assert_eq!(sources["groups"].as_array().unwrap().len(), 6, "every log: {sources}");
    let failures =
        json!({ "view": "event_logs", "count_by": "ip_address", "q": "outcome:failure ip_address:203.0.113.*" });
    let failures = server.admin.post("/v1/t/acme/query", failures.to_string()).ok();
    assert!(failures["count"].as_u64().unwrap() > 20, "a brute-force run: {failures}");
    let size = server.admin.get("/v1/t/acme").ok()["records"].clone();
    let home = server.stop();
    home.run(&["demo", "--fill-only", "--data", data.to_str().unwrap()]).ok();
    let server = home.start();
    assert_eq!(server.admin.get("/v1/t/acme").ok()["records"], size, "a filled folder is left as it is");
    eventually("it is ready", || server.admin.get("/health/ready").status == 200);
    assert!(std::fs::metadata(BINARY).is_ok());
}
