//! A body into a batch ready for the ledger: hop 2 of a record's way, for one request.
//!
//! Owns decompression, the limits of a batch, and the loop in which records are parsed, committed to and looked up.
//! Not here: what happens to the batch afterwards (`intake`), and what systems' own shapes look like (`native`).

use crate::app::App;
use crate::decompress::Refused;
use crate::deriving::Deriving;
use crate::intake::{MAX_BATCH, MAX_RECORDS};
use crate::native::Natives;
use crate::parts;
use crate::problem::Problem;
use crate::states::State;
use axum::http::StatusCode;
use catalog::Tenant;
use event::Field;
use event::batch::{Body, Piece};
use event::commit::{self, EntryKind};
use event::json::numbers_as_text;
use event::parse::{Found, Invalid, Parser, ValidEvent};
use ledger::{Batch, Outcome, Pending};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Salts;
use systems::change::Change;
use systems::convert::Twin;
use systems::filled::Place;
use systems::{Filled, Read, System};

/// One record of a batch, as its sender knows it.
pub struct Sent {
    /// Line in NDJSON, position in a list, from 1.
    pub line: usize,
    /// Its id.
    pub id: String,
    /// The time is ours: a repetition is compared without it.
    pub fresh_time: bool,
    /// The id was made from the content: whatever has it is the same record.
    pub by_content: bool,
    /// What we add to it may be other than what the record has that it repeats: what was derived, or known of a signature.
    pub marked: bool,
    /// It may be stored with another of its system's shapes beside it, or without ([`twins`](crate::twins)).
    pub twins: bool,
    /// The system that it is from, where that one may have given it in another shape before.
    pub shapes: Option<&'static dyn System>,
}

/// A batch ready for the ledger.
#[derive(Default)]
pub struct Prepared {
    /// What the ledger gets.
    pub batch: Batch,
    /// What is known of each record of the batch.
    pub records: Vec<Sent>,
    /// What records say about the state of entities: place in the batch, name, state.
    pub learned: Vec<(usize, String, State)>,
    /// Refused records: line, code, field, detail.
    pub refused: Vec<(usize, &'static str, String, String)>,
    /// Records not understood, kept as they came: line, code, detail.
    pub unparsed: Vec<(usize, String, String)>,
    /// Records that are not for the ledger, because another one has them inside: line, id, and where that is.
    pub held: Vec<(usize, String, Outcome)>,
}

/// Prepares a body of envelopes from outside. Only this server itself may say what it revoked.
///
/// # Errors
/// A problem with the body as a whole, or with what is needed to prepare it.
pub fn plain(app: &App, tenant: &Arc<Tenant>, body: &[u8]) -> Result<Prepared, Problem> {
    envelopes(app, tenant, body, false)
}

/// Prepares our own records.
///
/// # Errors
/// As [`plain`].
pub fn own(app: &App, tenant: &Arc<Tenant>, body: &[u8]) -> Result<Prepared, Problem> {
    envelopes(app, tenant, body, true)
}

fn envelopes(app: &App, tenant: &Arc<Tenant>, body: &[u8], own: bool) -> Result<Prepared, Problem> {
    let body = Body::new(body);
    let pieces = body.pieces();
    check_count(pieces.len(), MAX_RECORDS)?;
    work(app, tenant, pieces.iter().filter_map(|p| p.text.as_ref().ok()).map(|t| t.len() + 256).sum(), |work| {
        work.own = own;
        let length = |piece: &Piece<'_>| piece.text.as_ref().map_or(0, |text| text.len());
        in_turn(pieces.iter().map(|piece| (length(piece), piece)), |piece| {
            let taken = match &piece.text {
                Ok(text) => work.add(piece.line, text, false, None)?,
                Err(e) => Err(Invalid { code: e.code, field: String::new(), detail: e.detail.clone() }),
            };
            work.note(piece.line, taken);
            Ok(())
        })
    })
}

/// Prepares an entry that says that something is missing: a record like any other, sealed as of the kind *gap*.
///
/// # Errors
/// As [`plain`].
pub fn gap(app: &App, tenant: &Arc<Tenant>, text: &str) -> Result<Prepared, Problem> {
    work(app, tenant, text.len() + 256, |work| {
        (work.kind, work.own) = (EntryKind::Gap, true);
        let taken = work.add(1, text, true, None)?;
        work.note(1, taken);
        Ok(())
    })
}

/// Prepares envelopes of records that were kept until they could be understood. The same id is the same record.
///
/// # Errors
/// As [`plain`].
pub fn again(app: &App, tenant: &Arc<Tenant>, envelopes: &[String]) -> Result<Prepared, Problem> {
    work(app, tenant, envelopes.iter().map(|text| text.len() * 2).sum(), |work| {
        for (i, text) in envelopes.iter().enumerate() {
            let taken = work.add(i, &numbers_as_text(text), true, None)?;
            work.note(i, taken);
        }
        Ok(())
    })
}

/// Prepares some records of a body of a system's own shape. One that cannot be understood is kept as it came.
///
/// # Errors
/// As [`plain`].
pub fn native(app: &App, tenant: &Arc<Tenant>, natives: &Natives<'_>, part: Range<usize>) -> Result<Prepared, Problem> {
    check_count(natives.count, parts::MOST)?;
    let list = natives.list.get(part.clone()).unwrap_or_default();
    let room = natives.filled.len() * 2 / natives.list.len().max(1) * list.len();
    work(app, tenant, room, |work| {
        work.twins = natives.system.writes_twice();
        work.signed = natives.signed;
        work.shapes = natives.system.shaped();
        // Of events that say the same in every byte, the second is another.
        let mut again: HashMap<String, usize> = HashMap::new();
        let length = |read: &Read<'_>| read.native.as_ref().map_or(0, |native| native.len());
        in_turn(part.zip(list).map(|one| (length(one.1), one)), |(place, read)| {
            let line = read.line;
            work.name = natives.name.as_deref().map(|body| format!("{body}-{}", natives.from + place));
            let native = match &read.native {
                Ok(native) => native,
                Err(e) => {
                    work.note(line, Err(Invalid { code: e.code, field: String::new(), detail: e.detail.clone() }));
                    return Ok(());
                }
            };
            if natives.by_content && work.name.is_none() {
                let said = systems::envelope::hash(&[natives.system.name().as_bytes(), b"\0", native.as_bytes()]);
                let times = again.entry(said.clone()).or_default();
                work.name = Some(format!("{said}-{times}"));
                *times += 1;
            }
            if let Some(held) = work.held(read)? {
                work.out.held.push(held);
                return Ok(());
            }
            let why = match &read.envelope {
                Ok(place) => work.add_filled(&natives.filled, place, read)?.map_err(|e| (e.code, e.detail)),
                Err(e) => Err((e.code, e.detail.clone())),
            };
            let Err((code, detail)) = why else { return Ok(()) };
            let kept = systems::unparsed(&*natives.system, native, code, &detail);
            let taken = work.add(line, &kept, true, None)?;
            if taken.is_ok() {
                work.out.unparsed.push((line, code.to_owned(), detail));
            }
            work.note(line, taken);
            Ok(())
        })
    })
}

/// How long a thread that answers requests prepares records before others have a right to it. A batch of a thousand takes a third.
const TURN: Duration = Duration::from_millis(10);
/// Records of which the time is looked at once.
const STRIDE: usize = 8;
/// Bytes of a record from which on it may take a while by itself: what changed in two lists of objects takes their product.
const LONG: usize = 4 << 10;

/// Takes records, given with their length, one after the other. Where that may take long the requests that wait for this thread are
/// handed to another first.
fn in_turn<T>(
    records: impl IntoIterator<Item = (usize, T)>,
    mut take: impl FnMut(T) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let begun = Instant::now();
    let mut records = records.into_iter().enumerate();
    while let Some((n, (length, record))) = records.next() {
        if length > LONG || (n % STRIDE == STRIDE - 1 && begun.elapsed() > TURN) {
            return tokio::task::block_in_place(|| {
                take(record)?;
                records.try_for_each(|(_, (_, record))| take(record))
            });
        }
        take(record)?;
    }
    Ok(())
}

/// What a body without a record is told.
pub fn no_records() -> Problem {
    Problem::bad("empty_body", "the body has no record; send a JSON object, an array, or one object per line")
}

fn check_count(records: usize, most: usize) -> Result<(), Problem> {
    if records == 0 {
        return Err(no_records());
    }
    if records > most {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "batch_too_large",
            format!(
                "the batch has {records} records, more than the limit of {most}; nothing was stored, send it in parts"
            ),
        ));
    }
    Ok(())
}

/// The source of this server's own records: what was done with keys, sources and settings, jobs, steps of a revocation.
const OURS: &str = "indelible";
/// How actions begin that auditors and services that check believe whatever source is beside them.
const BELIEVED: [&str; 2] = ["indelible.revoke.", "indelible.gap"];
/// How the ids of gaps begin.
const GAP: &str = "gap:";

/// What of a row only this server may say: the field, and what it is or begins with. Filters do not tell capital letters from small
/// ones, so nobody may borrow them either.
fn reserved(row: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |value: &[u8], with: &str| {
        value.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    for stored in event::encode::fields(row).map_while(Result::ok) {
        let value = stored.value;
        match stored.field {
            Field::Id if begins(value, GAP) => return Some(("id", GAP)),
            Field::Source if value.eq_ignore_ascii_case(OURS.as_bytes()) => return Some(("source", OURS)),
            Field::Action => {
                if let Some(with) = BELIEVED.into_iter().find(|with| begins(value, with)) {
                    return Some(("action", with));
                }
            }
            field if field > Field::Action && field > Field::Source => break,
            _ => {}
        }
    }
    None
}

/// The new state of a record, as it came.
fn new_state(record: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Record<'a> {
        #[serde(borrow)]
        new: Option<&'a serde_json::value::RawValue>,
    }
    serde_json::from_str::<Record<'_>>(record).ok()?.new.map(|new| new.get().to_owned())
}

/// A batch being prepared.
struct Work<'a> {
    app: &'a App,
    tenant: &'a Arc<Tenant>,
    parser: Parser<'a>,
    salts: Salts<'a>,
    deriving: Deriving,
    /// The records are this server's own.
    own: bool,
    /// It, or what it repeats, may have a mark of its sender's signature.
    signed: bool,
    /// Of a system that writes an action twice.
    twins: bool,
    /// The system, where it gives an event in several shapes.
    shapes: Option<&'static dyn System>,
    /// The id of a record that has none, where its body may be sent again when a part of it is stored.
    name: Option<String>,
    rows: Vec<u8>,
    kind: EntryKind,
    /// Places of the records whose id the sender gave.
    given: Vec<usize>,
    out: Prepared,
}

fn work(
    app: &App,
    tenant: &Arc<Tenant>,
    room: usize,
    fill: impl FnOnce(&mut Work<'_>) -> Result<(), Problem>,
) -> Result<Prepared, Problem> {
    let started = Instant::now();
    let rules = app.rules(tenant)?;
    let store = app.store();
    let id_epoch = store.ledger().id_epoch();
    let mut work = Work {
        app,
        tenant,
        parser: Parser { rules: &rules, tenant: &tenant.slug, now: store.now() },
        salts: store.keys().intake(tenant),
        deriving: Deriving::new(Arc::clone(&rules)),
        own: false,
        signed: false,
        twins: false,
        shapes: None,
        name: None,
        rows: Vec::with_capacity(room),
        kind: EntryKind::Record,
        given: Vec::new(),
        out: Prepared { batch: Batch { tenant: tenant.number, id_epoch, ..Batch::default() }, ..Prepared::default() },
    };
    fill(&mut work)?;
    let out = work.finish()?;
    metrics::histogram!("indelible_prepare_seconds").record(started.elapsed().as_secs_f64());
    Ok(out)
}

impl Work<'_> {
    /// Where a record is stored already as a part of another one ([`systems::twins`]), if it is.
    fn held(&self, read: &Read<'_>) -> Result<Option<(usize, String, Outcome)>, Problem> {
        let Some(Twin { id, of }) = &read.twin else { return Ok(None) };
        let store = self.app.store();
        let row = tokio::task::block_in_place(|| match store.index_of(self.tenant, of)? {
            Some(index) => Ok(store.rows(self.tenant, index..index + 1)?.into_iter().next().zip(Some(index))),
            None => Ok::<_, Problem>(None),
        })?;
        let held = row.filter(|(row, _)| systems::twins::holds(&row.row, id));
        Ok(held.map(|(row, index)| (read.line, id.clone(), Outcome::Duplicate { index, leaf: row.leaf })))
    }

    /// Parses a record and keeps it.
    fn add(
        &mut self,
        line: usize,
        text: &str,
        by_content: bool,
        change: Option<&Change>,
    ) -> Result<Result<(), Invalid>, Problem> {
        let (ids, now, name) = (&self.app.ids, self.parser.now, self.name.clone());
        match self.parser.parse(text, &mut || name.clone().unwrap_or_else(|| ids.next(now)), &mut self.rows) {
            Ok(event) => self.keep(line, event, by_content, change, || new_state(text)),
            Err(e) => Ok(Err(e)),
        }
    }

    /// The same with a record whose fields were found already.
    fn add_filled(&mut self, filled: &Filled, place: &Place, read: &Read<'_>) -> Result<Result<(), Invalid>, Problem> {
        let (ids, now, name) = (&self.app.ids, self.parser.now, self.name.clone());
        let mut made = || name.clone().unwrap_or_else(|| ids.next(now));
        match self.parser.take(filled.fields(place), &mut made, &mut self.rows) {
            Some(event) => self.keep(read.line, event, read.by_content, read.change.as_ref(), || {
                filled.fields(place).find_map(|(field, found)| match found {
                    Found::Json(state) | Found::Object(state, _) if field == Field::New => Some(state.to_owned()),
                    _ => None,
                })
            }),
            // Something is not in order; what, the text tells.
            None => {
                let mut text = String::new();
                filled.write(place, &mut text);
                let text = numbers_as_text(&text);
                self.add(read.line, &text, read.by_content, read.change.as_ref())
            }
        }
    }

    /// Keeps a record that passed; `new` is its new state as it came.
    fn keep(
        &mut self,
        line: usize,
        mut event: ValidEvent,
        by_content: bool,
        change: Option<&Change>,
        new: impl FnOnce() -> Option<String>,
    ) -> Result<Result<(), Invalid>, Problem> {
        let named = event.fresh_id && self.name.is_some();
        if !self.own
            && let Some((field, begins)) = reserved(self.rows.get(event.row.clone()).unwrap_or_default())
        {
            self.rows.truncate(event.row.start);
            let (code, how) = match field {
                "id" => ("reserved_id", "begins with"),
                "source" => ("reserved_source", "is"),
                _ => ("reserved_action", "begins with"),
            };
            let detail = format!("`{field}` {how} `{begins}`, which only this server writes; use another");
            return Ok(Err(Invalid { code, field: field.into(), detail }));
        }
        if let Some(change) = change {
            let row = self.rows.get(event.row.clone()).unwrap_or_default();
            let place = self.out.records.len();
            if let Some(better) = self.deriving.look(self.app, self.tenant, change, row, place, new)? {
                self.rows.truncate(event.row.start);
                self.rows.extend_from_slice(&better);
                event.row.end = self.rows.len();
            }
        }
        let id = self.rows.get(event.id.clone()).unwrap_or_default();
        let key = Some(self.app.store().id_key(self.tenant.number, id));
        let id = String::from_utf8_lossy(id).into_owned();
        self.out.batch.records.push(Pending {
            kind: self.kind as u8,
            row: event.row,
            // Made for all together, in the end.
            commitment: ledger::Hash::default(),
            sum: 0,
            id: key,
            known: None,
        });
        if !event.fresh_id || named {
            self.given.push(self.out.records.len());
        }
        let by_content = by_content || named;
        let (fresh_time, marked) = (event.fresh_time, change.is_some() || self.signed);
        let (twins, shapes) = (self.twins, self.shapes);
        self.out.records.push(Sent { line, id, fresh_time, by_content, marked, twins, shapes });
        Ok(Ok(()))
    }

    fn note(&mut self, line: usize, taken: Result<(), Invalid>) {
        if let Err(Invalid { code, field, detail }) = taken {
            self.out.refused.push((line, code, field, detail));
        }
    }

    /// Commits to the records. Many are hashed side by side.
    fn commit(&mut self) -> Result<(), Problem> {
        let mut made = Vec::with_capacity(self.out.batch.records.len());
        let rows = self.out.batch.records.iter().map(|r| self.rows.get(r.row.clone()).unwrap_or_default());
        commit::commitments(rows, &mut self.salts, |commitment| made.push(commitment));
        for (record, commitment) in self.out.batch.records.iter_mut().zip(made) {
            record.commitment = commitment.map_err(|e| Problem::internal("a record could not be committed to", &e))?;
            record.sum = ledger::sum_of(self.rows.get(record.row.clone()).unwrap_or_default());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Prepared, Problem> {
        self.commit()?;
        self.out.batch.keys = self.salts.finish();
        self.out.batch.rows = self.rows;
        self.out.learned = self.deriving.learned;
        // An id that was made here is known from now on, but cannot have been used before.
        let records = &self.out.records;
        let ids: Vec<&str> = self.given.iter().filter_map(|n| records.get(*n)).map(|r| r.id.as_str()).collect();
        if !ids.is_empty() {
            let found = self.app.store().find_ids(self.tenant, &ids)?;
            if !found.is_empty() {
                for (record, pending) in self.out.records.iter().zip(&mut self.out.batch.records) {
                    pending.known = found.get(&record.id).copied();
                }
            }
        }
        Ok(self.out)
    }
}

/// The body without its compression.
///
/// # Errors
/// A problem: an encoding we do not know, a damaged body, or one past the limit.
pub fn decompress<'a>(body: &'a [u8], encoding: Option<&str>) -> Result<Cow<'a, [u8]>, Problem> {
    crate::decompress::decompress(body, encoding, MAX_BATCH).map_err(|e| match e {
        Refused::TooLarge(what) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "batch_too_large",
            format!(
                "the batch is {what}; the limit is {}. Nothing was stored, send it in parts",
                event::size::in_words(MAX_BATCH)
            ),
        ),
        Refused::Broken(what) => Problem::bad("invalid_encoding", what),
        Refused::Unsupported => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "Content-Encoding is gzip, zstd or absent",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// There is one thread for everything, and a record that waits until somebody else was served.
    #[test]
    fn what_takes_long_keeps_nobody_waiting() {
        let short_ones = (0..STRIDE).map(|n| (1, n == STRIDE - 1)).collect();
        for (records, slow) in [(vec![(LONG + 1, true)], Duration::ZERO), (short_ones, 2 * TURN)] {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let (served, other) = mpsc::channel();
            let (done, ended) = mpsc::channel();
            runtime.spawn(async move {
                tokio::spawn(async move { served.send(()) });
                let mut taken = 0;
                let all = in_turn(records, |waits| {
                    taken += 1;
                    std::thread::sleep(slow / STRIDE as u32);
                    if waits { other.recv_timeout(Duration::from_secs(10)).map_err(|_| no_records()) } else { Ok(()) }
                });
                let _ = done.send((all.is_ok(), taken));
            });
            let (served, taken) = ended.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(served, "the other waited for the record, and the record for it");
            assert!(taken == 1 || taken == STRIDE);
        }
    }
}
