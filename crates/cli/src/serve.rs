//! `serve` and `demo`: opening the folder, the first key, listening, and an orderly end.

use crate::Done;
use crate::client::{Exit, Failure, note};
use crate::outbound::Outbound;
use crate::settings::{Flags, LogFormat, Settings, load, unknown_in_environment};
use crate::{demo, print};
use catalog::{Scopes, Tenant};
use clap::Args;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use server::{App, Options};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Folder, Store};

/// How long open requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(20);
/// How often histograms are folded together.
const UPKEEP: Duration = Duration::from_secs(5);
/// Open files that are not connections: segments, the catalog, the journal.
const OTHER_FILES: u64 = 2048;
/// Seed of the demo's records: the same month for everyone.
const DEMO_SEED: u64 = 7440;

/// Run the server.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Run a server filled with records.
#[derive(Debug, Args)]
pub struct DemoArgs {
    #[command(flatten)]
    flags: Flags,
    /// Fill the folder and stop
    #[arg(long)]
    fill_only: bool,
}

/// The clock, microseconds since 1970. The one place that reads it.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the clock is read here and handed to everything else")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_micros() as i64)
}

/// `indelible serve`.
///
/// # Errors
/// A configuration, folder or address that cannot be used.
pub fn serve(args: &ServeArgs) -> Done {
    let settings = load(&args.flags)?;
    logs(&settings);
    let store = open(&settings)?;
    run(&settings, store, |_, _| async { Ok(()) }, |_| {})
}

/// `indelible demo`.
///
/// # Errors
/// As [`serve`].
pub fn demo(args: &DemoArgs) -> Done {
    let mut settings = load(&args.flags)?;
    if args.flags.data.is_none() {
        settings.data = std::env::temp_dir().join(format!("indelible-demo-{}", std::process::id()));
    }
    if args.fill_only {
        // Nobody is to call; the usual port may be another server's.
        settings.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    }
    logs(&settings);
    let store = open(&settings)?;
    let fill_only = args.fill_only;
    let shown = settings.clone();
    run(
        &settings,
        store,
        move |app, stop| async move { fill(&app, fill_only, stop).await },
        move |address| greet(&shown, address),
    )
}

fn logs(settings: &Settings) {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log_level).unwrap_or_else(|_| "info".into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second call (in tests) keeps the first subscriber.
    let _ = match settings.log_format {
        LogFormat::Human => builder.compact().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    unknown_in_environment().iter().for_each(|line| tracing::warn!("{line}"));
}

fn open(settings: &Settings) -> Result<Arc<Store>, Failure> {
    let folder = Folder::new(&settings.data, settings.high_water.as_deref());
    let (store, found) =
        Store::open(folder, settings.store(), Arc::new(now)).map_err(|e| Failure::other(e.to_string()))?;
    if !found.created {
        tracing::info!(
            records = found.replayed,
            torn_bytes = found.torn,
            orderly = found.clean,
            millis = found.took.as_millis() as u64,
            "recovered"
        );
    }
    let path = store.folder().admin_key();
    if store.catalog().administrator_keys().map_err(|e| Failure::other(e.to_string()))?.is_empty() {
        let (_, secret) = store
            .catalog()
            .create_key(None, "administrator", Scopes::ALL, now())
            .map_err(|e| Failure::other(e.to_string()))?;
        store.folder().write_secret(&path, &format!("{secret}\n")).map_err(|e| Failure::other(e.to_string()))?;
        print(&format!("administrator's key (shown this once, kept in {}): {secret}\n", path.display()))?;
    }
    Ok(store)
}

fn run<F, Fut>(settings: &Settings, store: Arc<Store>, prepare: F, ready: impl FnOnce(SocketAddr)) -> Done
where
    F: FnOnce(App, tokio::sync::watch::Receiver<bool>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::other(format!("could not start: {e}")))?;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    signals(stop).map_err(|e| Failure::other(format!("signals cannot be waited for: {e}")))?;
    let outcome = runtime.block_on(listen(settings, Arc::clone(&store), stopping, prepare, ready));
    runtime.shutdown_timeout(Duration::from_secs(2));
    let closed = store
        .close()
        .map_err(|e| Failure::other(format!("the folder could not be closed in order (nothing is lost): {e}")));
    tracing::info!("stopped");
    outcome.and(closed)
}

async fn listen<F, Fut>(
    settings: &Settings,
    store: Arc<Store>,
    stopping: tokio::sync::watch::Receiver<bool>,
    prepare: F,
    ready: impl FnOnce(SocketAddr),
) -> Done
where
    F: FnOnce(App, tokio::sync::watch::Receiver<bool>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &seconds)
        .and_then(|b| b.install_recorder())
        .map_err(|e| Failure::other(format!("metrics: {e}")))?;
    let outbound = Outbound::new(settings.outbound_proxy.as_deref(), settings.outbound_ca_file.as_deref())?;
    let options = Options {
        trusted_proxies: settings.trusted_proxies.clone(),
        connections_per_address: settings.connections_per_address,
        fetch: Arc::new(outbound),
        public_ledger: settings.public_ledger,
        query_time: Duration::from_secs(settings.query_seconds),
        client_patience: Duration::from_secs(settings.client_seconds),
        version: env!("CARGO_PKG_VERSION"),
    };
    // Histograms gather what they are told until somebody looks, or this does.
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let app = App::new(store, options, metrics);
    let listener =
        bound(settings.listen).map_err(|e| Failure::other(format!("could not listen on {}: {e}", settings.listen)))?;
    let address = listener.local_addr().map_err(|e| Failure::other(e.to_string()))?;
    prepare(app.clone(), stopping.clone()).await?;
    if *stopping.borrow() {
        return Ok(());
    }
    ready(address);
    tracing::info!(%address, data = %settings.data.display(), "ready");
    let background = tokio::spawn(server::run_background(app.clone(), stopping.clone()));
    let serving = server::serve(listener, app.clone(), connections(settings.max_connections), stopping.clone());
    let mut late = stopping;
    tokio::select! {
        () = serving => {
            // What is under way in the background ends at its next step, or is gone on with at the next start.
            let _ = background.await;
            server::finish(&app).await;
            Ok(())
        }
        // Who takes nothing of an answer is not waited for.
        () = async { let _ = late.wait_for(|s| *s).await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// As many connections as were asked for and the system lets this process have open.
fn connections(wanted: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        limit.current = limit.maximum;
        // Where that is refused, what it was stands.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(files.saturating_sub(OTHER_FILES).max(files / 2)).unwrap_or(usize::MAX);
    if most < wanted {
        tracing::warn!(
            wanted,
            most,
            files,
            "the system's limit of open files allows fewer connections than max_connections; raise it (ulimit -n, LimitNOFILE)"
        );
    }
    wanted.min(most)
}

/// Says `stop` at SIGTERM or SIGINT, which are caught from the moment this returns: one that comes while the server is
/// still starting ends it in order too. A second one ends the process as it is. They have a thread of their own, so that the second is
/// heard also when all that is left is closing the folder.
fn signals(stop: tokio::sync::watch::Sender<bool>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut term, mut int) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let wait = async move {
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: open requests are finished first; a second signal ends the process at once");
        let _ = stop.send(true);
        next().await;
        tracing::warn!(
            "a second signal: ended at once. What was answered is on disk, and the next start reads it back"
        );
        std::process::exit(Exit::Interrupted as i32);
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}

/// Fills the folder through the same way in as any other record. A folder that is filled already is left.
async fn fill(app: &App, fill_only: bool, stop: tokio::sync::watch::Receiver<bool>) -> Done {
    let started = Instant::now();
    let mut total = 0usize;
    for plan in demo::tenants() {
        let (tenant, created) =
            app.store().catalog().create_tenant(plan.slug, "{}", now()).map_err(|e| Failure::other(e.to_string()))?;
        if !created && app.store().ledger().size(tenant.number) > 0 {
            continue;
        }
        let records: Vec<String> = demo::records(&plan, now(), DEMO_SEED).collect();
        for batch in records.chunks(1000) {
            if *stop.borrow() {
                return Ok(());
            }
            send(app, &tenant, batch).await?;
        }
        total += records.len();
        note(&format!("{} ({}): {} records", plan.name, plan.slug, records.len()));
    }
    if total > 0 {
        app.store().flush().map_err(|e| Failure::other(e.to_string()))?;
        note(&format!("sealed {total} records in {:.1} s", started.elapsed().as_secs_f64()));
    }
    if fill_only {
        return Err(Failure::new(Exit::Ok, "filled"));
    }
    Ok(())
}

async fn send(app: &App, tenant: &Arc<Tenant>, batch: &[String]) -> Done {
    let taken = server::take(app, Arc::clone(tenant), bytes::Bytes::from(batch.join("\n")), None)
        .await
        .map_err(|e| Failure::other(format!("the demo's records were not taken: {e:?}")))?;
    match taken.refused.first() {
        None => Ok(()),
        Some((line, code, _, detail)) => {
            Err(Failure::other(format!("the demo's record {line} was refused: {code}: {detail}")))
        }
    }
}

/// Connections that came and were not taken yet: a thousand clients that come at once wait here and not for their own second try.
const WAITING: u32 = 4096;

fn bound(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    // As the standard library has it: a server that is started again does not wait for its last connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

fn greet(settings: &Settings, address: SocketAddr) {
    let key: PathBuf = settings.data.join("admin.key");
    let mut out = format!(
        "\nIndelible is running: http://{address}/\n\n  export INDELIBLE_URL=http://{address} INDELIBLE_KEY_FILE={}\n\nThings to find:\n",
        key.display()
    );
    for incident in demo::incidents(&demo::tenants(), now(), DEMO_SEED) {
        out.push_str(&format!(
            "\n  {}\n    indelible search {} '{}' --view {}\n",
            incident.title,
            incident.tenant,
            incident.hint.replace('\'', "'\\''"),
            incident.view
        ));
    }
    out.push_str(
        "\nAnd:\n\n  indelible ask acme \"top 10 ip addresses with failed logins in the last 24 hours\" --run\n",
    );
    out.push_str(&format!("  indelible verify --url http://{address} --tenant acme\n\nStop with Ctrl-C.\n"));
    let _ = print(&out);
}
