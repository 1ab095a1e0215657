//! What an operator looks at: health, version, metrics, the description of the API, the front page.

use crate::app::App;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use ledger::Refusing;
use serde_json::json;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// `GET /health/live`: the process answers.
pub async fn live() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json!({ "status": "ok" }).to_string()).into_response()
}

/// `GET /health/ready`: it takes records. Names the failing part, and nothing else. Damage that scrubbing found
/// takes nothing down, for what is sound is read and written as before: it is a member of its own.
pub async fn ready(State(app): State<App>) -> Response {
    let asked = app.clone();
    // A disk that was full is written to, which may take its time.
    let refusing = tokio::task::spawn_blocking(move || asked.store().ledger().refusing()).await;
    let failing = match refusing {
        Ok(None) => None,
        Ok(Some(Refusing::Disk)) => Some("disk"),
        Ok(Some(Refusing::Tail)) => Some("tail"),
        Ok(Some(Refusing::Stopped)) | Err(_) => Some("journal"),
    };
    let damaged = app.store().scrubbed().damaged.len();
    match failing {
        None => {
            let body = match damaged {
                0 => json!({ "status": "ok" }),
                n => json!({ "status": "ok", "damaged": n, "detail": "stored data is damaged; see the server's log" }),
            };
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Some(part) => {
            let body = json!({ "status": "failing", "failing": [part] }).to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

/// `GET /version`.
pub async fn version(State(app): State<App>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json!({ "name": "indelible", "version": app.options.version }).to_string(),
    )
        .into_response()
}

/// `GET /openapi.json`.
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi::document().to_string()).into_response()
}

/// `GET /metrics`: Prometheus text. Totals only; no tenant, user or address is a label.
pub async fn metrics(State(app): State<App>) -> Response {
    let mut out = app.metrics.render();
    let store = app.store();
    let (ledger, counters) = (store.ledger(), store.counters());
    let stats = ledger.stats();
    let segments = store.segments();
    let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed) as f64;
    let mut gauges: Vec<(&str, &str, &str, f64)> = vec![
        ("indelible_uptime_seconds", "gauge", "Seconds since the start.", app.started.elapsed().as_secs_f64()),
        ("indelible_tenants", "gauge", "Tenants.", store.catalog().tenants().len() as f64),
        ("indelible_records", "gauge", "Records sealed, of all tenants.", total(&app) as f64),
        ("indelible_journal_frames_total", "counter", "Frames committed since the start.", load(&stats.frames)),
        ("indelible_journal_records_total", "counter", "Records sealed since the start.", load(&stats.records)),
        ("indelible_journal_bytes_total", "counter", "Bytes appended since the start.", load(&stats.bytes)),
        (
            "indelible_journal_sync_seconds_total",
            "counter",
            "Time spent in append and sync.",
            load(&stats.sync_micros) / 1e6,
        ),
        ("indelible_tail_bytes", "gauge", "Sealed rows waiting for a segment.", ledger.tail_bytes() as f64),
        ("indelible_segments", "gauge", "Segments.", segments.len() as f64),
        (
            "indelible_segment_bytes",
            "gauge",
            "Bytes of segments and their filters.",
            segments.iter().map(|s| s.info().bytes + s.info().filter_bytes).sum::<u64>() as f64,
        ),
        ("indelible_flushes_total", "counter", "Segments written from the tail.", load(&counters.flushes)),
        ("indelible_flush_seconds_total", "counter", "Time that took.", load(&counters.flush_micros) / 1e6),
        ("indelible_merges_total", "counter", "Merges of segments.", load(&counters.merges)),
        ("indelible_checkpoints_total", "counter", "Checkpoints signed.", load(&counters.checkpoints)),
        (
            "indelible_mismatches_total",
            "counter",
            "Rows found that are not what was sealed.",
            load(&counters.mismatches),
        ),
        (
            "indelible_background_failures_total",
            "counter",
            "Background work that failed and is tried again.",
            load(&counters.failures),
        ),
    ];
    let behind = stats.recorded_at.load(Ordering::Relaxed).saturating_sub(store.now()).max(0);
    gauges.push((
        "indelible_clock_behind_seconds",
        "gauge",
        "How far the clock is behind the newest record's time.",
        behind as f64 / 1e6,
    ));
    let (requests, answers) = app.bodies.used();
    gauges.extend([
        ("indelible_request_bytes", "gauge", "Bytes of request bodies in memory.", requests as f64),
        ("indelible_answer_bytes", "gauge", "Bytes of large answers that wait to be taken.", answers as f64),
    ]);
    let scrubbed = store.scrubbed();
    gauges.extend([
        ("indelible_scrub_passes_total", "counter", "Passes over everything stored.", scrubbed.passes as f64),
        ("indelible_scrub_rows_total", "counter", "Rows that were hashed again.", scrubbed.rows as f64),
        ("indelible_scrub_findings_total", "counter", "Damage that was found, each once.", scrubbed.findings as f64),
        ("indelible_scrub_damaged", "gauge", "Damage that is known now.", scrubbed.damaged.len() as f64),
    ]);
    if let Some(last) = scrubbed.last {
        gauges.extend([
            (
                "indelible_scrub_last_pass_timestamp_seconds",
                "gauge",
                "When the last full pass was done.",
                last.ended_at as f64 / 1e6,
            ),
            ("indelible_scrub_last_pass_seconds", "gauge", "How long it took.", last.seconds),
            ("indelible_scrub_last_pass_rows", "gauge", "Rows it hashed again.", last.rows as f64),
            ("indelible_scrub_last_pass_bytes", "gauge", "Bytes of segments it read.", last.bytes as f64),
            ("indelible_scrub_last_pass_findings", "gauge", "What it found, mended or not.", last.findings as f64),
        ]);
    }
    for (name, kind, help, value) in gauges {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out).into_response()
}

fn total(app: &App) -> u64 {
    let ledger = app.store().ledger();
    ledger.tenants().into_iter().map(|t| ledger.size(t)).sum()
}

/// `GET /`: one plain page until the console is there. Totals only, as nobody has signed in.
pub async fn front(State(app): State<App>, headers: HeaderMap) -> Result<Html<String>, Problem> {
    // The address that the page was asked for under is the one its commands work with; nothing else of the header is shown.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| host.chars().all(plain));
    let store = app.store();
    let (records, tenants) = (total(&app), store.catalog().tenants().len());
    let segments = store.segments();
    let bytes: u64 = segments.iter().map(|s| s.info().bytes + s.info().filter_bytes).sum();
    let tail = store.ledger().tail_bytes();
    let mismatches = store.counters().mismatches.load(Ordering::Relaxed);
    let sentence = match (store.ledger().failure(), mismatches) {
        (Some(_), _) => "The journal has stopped taking records; see the server's log.".to_owned(),
        (None, 0) => format!(
            "All {} records of {} {} are sealed in their ledgers; every row moved to a segment was read back and compared with what was sealed first.",
            thousands(records),
            thousands(tenants as u64),
            if tenants == 1 { "tenant" } else { "tenants" }
        ),
        (None, n) => format!("{n} rows were found that are not what was sealed; run indelible verify."),
    };
    let uptime = app.started.elapsed().as_secs();
    let page = include_str!("front.html")
        .replace("{version}", app.options.version)
        .replace("{host}", host.unwrap_or("127.0.0.1:7440"))
        .replace("{uptime}", &format!("{} h {:02} min", uptime / 3600, uptime / 60 % 60))
        .replace("{records}", &thousands(records))
        .replace("{tenants}", &thousands(tenants as u64))
        .replace("{segments}", &thousands(segments.len() as u64))
        .replace("{bytes}", &mebibytes(bytes))
        .replace("{tail}", &mebibytes(tail as u64))
        .replace("{sentence}", &sentence)
        .replace("{state}", if store.ledger().failure().is_none() && mismatches == 0 { "sound" } else { "alarm" });
    Ok(Html(page))
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn mebibytes(n: u64) -> String {
    format!("{:.1} MiB", n as f64 / 1_048_576.0)
}
