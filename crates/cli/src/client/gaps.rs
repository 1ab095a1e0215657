//! `gaps`: is anything missing between two times, per source.
//!
//! Owns the words for the server's answer and the code a script gets: 0 where everything is here, 6 where something is
//! missing, 1 where it cannot be known.

use serde::Deserialize;

use super::http::{Ask, Client, parse, query, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, pretty};
use super::{Connect, Exit, Outcome};

/// Say whether anything is missing between two times, per source
///
/// Ends with 0 where everything is here, 6 where something is missing, 1 where it cannot be known.
#[derive(Debug, Clone, clap::Args)]
pub struct GapsArgs {
    /// Tenant
    pub tenant: String,
    /// From this time on: RFC 3339 or now-7d
    #[arg(long, value_name = "TIME", default_value = "now-7d")]
    pub from: String,
    /// Before this time
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub to: String,
    /// Write the server's answer
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

#[derive(Debug, Deserialize)]
struct Answer {
    from: String,
    to: String,
    complete: String,
    sources: Vec<OfSource>,
}

#[derive(Debug, Deserialize)]
struct OfSource {
    source: String,
    system: String,
    complete: String,
    gaps: Vec<Part>,
    unknown: Vec<Part>,
    /// Gaps that were filled later. A server of before has none.
    #[serde(default)]
    filled: Vec<Filled>,
    /// What was compared, and when last. A server of before has none.
    #[serde(default)]
    compared: Vec<Compared>,
}

#[derive(Debug, Deserialize)]
struct Compared {
    checked_at: String,
}

impl OfSource {
    /// As of when it is known: what came to the source later is not.
    fn as_of(&self) -> Option<String> {
        // RFC 3339 in UTC with as many digits each sorts by time.
        let times = || self.compared.iter().map(|part| part.checked_at.as_str());
        let (first, last) = (times().min()?, times().max()?);
        Some(match first == last {
            true => format!("as compared at {first}"),
            false => format!("as compared from {first} to {last}"),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    from: String,
    to: String,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Filled {
    from: String,
    to: String,
    why: String,
    filled_at: String,
    filled_by: String,
}

/// `indelible gaps`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_gaps(args: &GapsArgs) -> Outcome {
    Stop::at_once();
    let client = Client::new(&args.connect)?;
    let bounds = query(&[("from", Some(&args.from)), ("to", Some(&args.to))]);
    let path = format!("{}{bounds}", tenant_path(&args.tenant, &["completeness"]));
    let text = client.call(&Ask::get(path))?.text()?;
    let answer: Answer = parse(&text, client.base())?;
    let mut console = Console::stdout();
    if args.json {
        console.line(pretty(&text))?;
    } else {
        for line in lines(&answer) {
            console.line(line)?;
        }
    }
    console.flush()?;
    Ok(match answer.complete.as_str() {
        "yes" => Exit::Ok,
        "no" => Exit::Partial,
        _ => Exit::Failure,
    })
}

fn lines(answer: &Answer) -> Vec<String> {
    let mut out = vec![format!("From {} to {}:", answer.from, answer.to)];
    if answer.sources.is_empty() {
        out.push("this tenant has no sources, so nothing can be said of what they sent".into());
    }
    for source in &answer.sources {
        let says = match source.complete.as_str() {
            "yes" => "nothing is missing",
            "no" => "records are missing",
            _ => "it cannot be known whether anything is missing",
        };
        let as_of = source.as_of().map_or(String::new(), |as_of| format!(", {as_of}"));
        out.push(format!("{} ({}): {says}{as_of}", source.source, source.system));
        for (what, parts) in [("missing", &source.gaps), ("not known", &source.unknown)] {
            for part in parts {
                out.push(format!("  {what}  {} to {}  {}", part.from, part.to, part.why));
            }
        }
        for part in &source.filled {
            let Filled { from, to, why, filled_at, filled_by } = part;
            out.push(format!("  filled  {from} to {to}  {why}; here since {filled_at}: {filled_by}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_told_with_its_reason() {
        let answer = r#"{"from":"a","to":"b","complete":"no","sources":[{"source":"kc","system":"keycloak","complete":"no",
            "gaps":[{"from":"c","to":"d","why":"lost"}],"unknown":[{"from":"e","to":"f","why":"early"}],
            "compared":[{"checked_at":"2026-11-20T12:00:00Z"},{"checked_at":"2026-11-19T12:00:00Z"}],
            "filled":[{"from":"g","to":"h","why":"late","gap":"gap:kc:1:2","filled_at":"i","filled_by":"its number 4 came"}]}]}"#;
        let told = lines(&serde_json::from_str(answer).unwrap()).join("\n");
        for part in [
            "kc (keycloak): records are missing, as compared from 2026-11-19T12:00:00Z to 2026-11-20T12:00:00Z",
            "missing  c to d  lost",
            "not known  e to f  early",
            "filled  g to h  late; here since i: its number 4 came",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
