//! Records to measure with: about 500 bytes each, a month of them, the same bytes for the same seed.
//!
//! Owns: what a generated record holds, and writing it as an envelope (NDJSON) or as a row of PostgreSQL's `COPY`. Not here:
//! the lists it is made of (`tables`), the spelling of ids, times and addresses (`text`), sending it (`load`). Every record is a function of the seed and its number alone, so
//! batches can be made by any thread in any order, and a query knows what it looks for without a copy of the data.

use super::{
    tables::{ACTIONS, AGENTS, Action, Alias, COMMON, Log, RARE, Random, mix, vocabulary},
    text::{address, decimal, email, hex, rfc3339, uuid},
};

/// How many people there are.
pub const USERS: usize = 40_000;
/// How long the records' time is: 30 days, in microseconds.
pub const SPAN: i64 = 30 * super::text::DAY;
/// When the records end unless told otherwise: 2026-01-01T00:00:00Z in microseconds; a time ahead of the clock is refused.
pub const END: i64 = 1_767_225_600_000_000;
/// The seed of all published figures.
pub const SEED: u64 = 20_260_101;

/// So many neighbouring records share so many sessions.
const BLOCK: u64 = 4_096;
const SESSIONS: u64 = 384;
/// Streams of the seed besides the records' own.
const USER_STREAM: u64 = 1 << 60;
const SESSION_STREAM: u64 = 2 << 60;
const ATTACKER_STREAM: u64 = 3 << 60;

/// Makes records by their number.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Of people and sessions.
    seed: u64,
    /// Of everything else in a record.
    draws: u64,
    start: i64,
    step: i64,
    users: Alias,
    actions: Alias,
    agents: Alias,
    words: Alias,
    vocabulary: Vec<String>,
}

/// One record, as text per field; an empty text is an absent field. Reused from record to record.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// UUIDv7 of the record's time.
    pub id: Vec<u8>,
    /// Microseconds since 1970.
    pub time: i64,
    /// When it happened, RFC 3339.
    pub time_text: Vec<u8>,
    /// Which action of which system; the first one until filled.
    pub action: usize,
    /// How it ended.
    pub outcome: &'static str,
    /// The person or service acting.
    pub actor_id: Vec<u8>,
    /// `service`, or nothing for people.
    pub actor_type: &'static str,
    /// The person's address.
    pub email: Vec<u8>,
    /// What it was done to.
    pub target_id: Vec<u8>,
    /// Where it came from.
    pub ip: Vec<u8>,
    /// With what.
    pub agent: &'static str,
    /// 32 hexadecimal digits, never the same.
    pub request_id: Vec<u8>,
    /// Shared by some records of one person.
    pub session_id: Vec<u8>,
    /// Why it failed.
    pub error: &'static str,
    /// Some words.
    pub message: Vec<u8>,
    /// JSON object.
    pub attributes: Vec<u8>,
    /// JSON object of the record's own log: job, notification, session, grant.
    pub own: Vec<u8>,
}

/// Columns of [`Row::copy`], in its order.
pub const COLUMNS: &str = "id,time,log,source,action,outcome,level,actor_id,actor_type,actor_email,target_id,target_type,ip,user_agent,\
                           request_id,session_id,error_code,message,attributes,details";

impl Generator {
    /// `records` records over the 30 days before `end` (microseconds since 1970). Numbers past `records` go on in the same pace.
    pub fn new(seed: u64, end: i64, records: u64) -> Generator {
        let weights = |list: Vec<u32>| Alias::new(&list.into_iter().map(f64::from).collect::<Vec<_>>());
        Generator {
            seed,
            draws: seed,
            start: end - SPAN,
            step: (SPAN / records.clamp(1, SPAN as u64) as i64).max(1),
            users: Alias::zipf(USERS),
            actions: weights(ACTIONS.iter().map(|a| a.weight).collect()),
            agents: weights(AGENTS.iter().map(|a| a.0).collect()),
            words: Alias::zipf(4_000),
            vocabulary: vocabulary(),
        }
    }

    /// The same people going on after the month, a record every 86 ms: new records to send to whoever holds the month.
    #[must_use]
    pub fn live(mut self) -> Generator {
        self.draws = mix(self.seed ^ 1);
        self.start += SPAN;
        self.step = 86_400;
        self
    }

    /// Writes record `number` into `row`.
    pub fn fill(&self, number: u64, row: &mut Row) {
        let mut random = Random::new(self.draws, number);
        row.clear();
        row.time = self.start + number as i64 * self.step + random.below(self.step as u64) as i64;
        rfc3339(row.time, &mut row.time_text);
        let millis = (row.time / 1_000) as u64;
        uuid(millis << 16 | random.next() >> 52, random.next(), b'7', &mut row.id);
        hex(random.next(), 16, &mut row.request_id);
        hex(random.next(), 16, &mut row.request_id);

        row.action = self.actions.draw(&mut random);
        let action = &ACTIONS[row.action];
        let failed = random.below(100) < action.failing;
        row.outcome = match (failed, action.name.ends_with("deny")) {
            (false, _) => "success",
            (true, false) => "failure",
            (true, true) => "deny",
        };
        if failed {
            row.error = ["invalid_credentials", "expired", "not_allowed", "rate_limited"][random.below(4) as usize];
        }
        self.who(number, action, failed, &mut random, row);
        if !action.target.is_empty() {
            let things = if matches!(action.target, "application" | "role" | "provider") { 500 } else { 60_000 };
            self.user_id(random.below(things), &mut row.target_id);
            if things == 500 {
                row.target_id[..3].copy_from_slice(b"obj");
            }
        }
        self.words(number, &mut random, &mut row.message);
        attributes(&mut random, &mut row.attributes);
        own_part(action.log, failed, &mut random, row);
    }

    /// Who acts, in which session, from where: sessions keep their person, address and agent.
    fn who(&self, number: u64, action: &Action, failed: bool, random: &mut Random, row: &mut Row) {
        let draw = random.below(100);
        if draw < 5 {
            row.actor_type = "service";
            let service = random.below(40);
            row.actor_id.extend_from_slice(b"svc-");
            hex(self.user_bits(USERS as u64 + service), 8, &mut row.actor_id);
            address(self.user_bits(service), &mut row.ip);
            row.agent = AGENTS[6 + service as usize % 8].1;
            return;
        }
        let with_session = draw < 65 && !action.name.contains("Failed") || action.log == Log::Session;
        let (user, place) = if with_session {
            let block = number / BLOCK;
            let session = block * SESSIONS + random.below(SESSIONS).min(random.below(SESSIONS));
            let mut random = Random::new(self.seed, SESSION_STREAM + session);
            hex(random.next(), 8, &mut row.session_id);
            hex(random.next(), 16, &mut row.session_id);
            row.agent = AGENTS[self.agents.draw(&mut random)].1;
            (self.users.draw(&mut random), random.below(3))
        } else {
            row.agent = AGENTS[self.agents.draw(random)].1;
            (self.users.draw(random), random.below(3))
        };
        self.user_id(user as u64, &mut row.actor_id);
        email(user, &mut row.email);
        let from = if failed && random.below(100) < 30 {
            let attacker = random.below(200).min(random.below(200)).min(random.below(200));
            Random::new(self.seed, ATTACKER_STREAM + attacker).next()
        } else {
            self.user_bits(user as u64 * 3 + place)
        };
        address(from, &mut row.ip);
    }

    fn user_bits(&self, user: u64) -> u64 {
        Random::new(self.seed, USER_STREAM + user).next()
    }

    fn user_id(&self, user: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"usr_");
        hex(self.user_bits((1 << 32) + user), 16, out);
    }

    /// Three to six words; the rare one is in one message of 100,000, the common one in one of eight.
    fn words(&self, number: u64, random: &mut Random, out: &mut Vec<u8>) {
        if mix(self.seed ^ number).is_multiple_of(100_000) {
            out.extend_from_slice(RARE.as_bytes());
        } else if random.below(8) == 0 {
            out.extend_from_slice(COMMON.as_bytes());
        } else {
            out.extend_from_slice(self.vocabulary[self.words.draw(random)].as_bytes());
        }
        for _ in 0..2 + random.below(4) {
            out.push(b' ');
            out.extend_from_slice(self.vocabulary[self.words.draw(random)].as_bytes());
        }
    }

    /// The start of the records' time, in microseconds.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// The address of person `user`, from the most active (0) to the least.
    pub fn email_of(user: usize) -> String {
        let mut out = Vec::new();
        email(user, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends records `from..to`, one per line, as envelopes or as `COPY` rows.
    pub fn write(&self, from: u64, to: u64, copy: bool, out: &mut Vec<u8>) {
        let mut row = Row::default();
        for number in from..to {
            self.fill(number, &mut row);
            if copy {
                row.copy(out)
            } else {
                row.envelope(out)
            }
            out.push(b'\n');
        }
    }
}

impl Row {
    fn clear(&mut self) {
        for text in [
            &mut self.id,
            &mut self.time_text,
            &mut self.actor_id,
            &mut self.email,
            &mut self.target_id,
            &mut self.ip,
            &mut self.request_id,
            &mut self.session_id,
            &mut self.message,
            &mut self.attributes,
            &mut self.own,
        ] {
            text.clear();
        }
        (self.error, self.actor_type) = ("", "");
    }

    /// The record as a sender posts it (`spec/records.md`). No value needs escaping.
    pub fn envelope(&self, out: &mut Vec<u8>) {
        let action = &ACTIONS[self.action];
        let mut put = |before: &str, value: &[u8]| {
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(value);
        };
        put("{\"id\":\"", &self.id);
        put("\",\"log\":\"", action.log.name().as_bytes());
        put("\",\"time\":\"", &self.time_text);
        put("\",\"source\":\"", action.source.as_bytes());
        put("\",\"action\":\"", action.name.as_bytes());
        put("\",\"outcome\":\"", self.outcome.as_bytes());
        if !self.error.is_empty() {
            put("\",\"level\":\"warn\",\"error_code\":\"", self.error.as_bytes());
        }
        put("\",\"actor\":{\"id\":\"", &self.actor_id);
        if !self.actor_type.is_empty() {
            put("\",\"type\":\"", self.actor_type.as_bytes());
        }
        if !self.email.is_empty() {
            put("\",\"email\":\"", &self.email);
        }
        if !self.target_id.is_empty() {
            put("\"},\"target\":{\"id\":\"", &self.target_id);
            put("\",\"type\":\"", action.target.as_bytes());
        }
        put("\"},\"ip\":\"", &self.ip);
        put("\",\"user_agent\":\"", self.agent.as_bytes());
        put("\",\"request_id\":\"", &self.request_id);
        if !self.session_id.is_empty() {
            put("\",\"session_id\":\"", &self.session_id);
        }
        put("\",\"message\":\"", &self.message);
        put("\",\"attributes\":", &self.attributes);
        if !self.own.is_empty() {
            put(",\"", action.log.name().as_bytes());
            put("\":", &self.own);
        }
        put("}", b"");
    }

    /// The record as a row of PostgreSQL's `COPY` in text form, columns as in [`COLUMNS`]. No value needs escaping.
    pub fn copy(&self, out: &mut Vec<u8>) {
        let action = &ACTIONS[self.action];
        let target_type = if self.target_id.is_empty() { "" } else { action.target };
        let values: [&[u8]; 20] = [
            &self.id,
            &self.time_text,
            action.log.name().as_bytes(),
            action.source.as_bytes(),
            action.name.as_bytes(),
            self.outcome.as_bytes(),
            if self.error.is_empty() { b"" } else { b"warn" },
            &self.actor_id,
            self.actor_type.as_bytes(),
            &self.email,
            &self.target_id,
            target_type.as_bytes(),
            &self.ip,
            self.agent.as_bytes(),
            &self.request_id,
            &self.session_id,
            self.error.as_bytes(),
            &self.message,
            &self.attributes,
            &self.own,
        ];
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                out.push(b'\t');
            }
            out.extend_from_slice(if value.is_empty() { b"\\N" } else { value });
        }
    }
}

fn attributes(random: &mut Random, out: &mut Vec<u8>) {
    let bits = random.next();
    out.extend_from_slice(b"{\"method\":\"");
    out.extend_from_slice(["password", "oidc", "passkey", "code"][bits as usize % 4].as_bytes());
    out.extend_from_slice(b"\",\"org\":\"org-");
    decimal((bits >> 8) % 300, 3, out);
    out.extend_from_slice(b"\",\"ms\":");
    decimal(3 + (bits >> 32) % 90 * ((bits >> 40) % 7 + 1), 1, out);
    out.push(b'}');
}

/// The part that only job, notification, session and grant records have.
fn own_part(log: Log, failed: bool, random: &mut Random, row: &mut Row) {
    let out = &mut row.own;
    let mut put = |before: &str, value: &[u8]| {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(value);
    };
    let mut id = Vec::with_capacity(36);
    match log {
        Log::Audit | Log::Event => {}
        Log::Job => {
            uuid(random.next(), random.next(), b'4', &mut id);
            put("{\"id\":\"", &id);
            put(
                "\",\"name\":\"directory-sync\",\"type\":\"scheduled\",\"status\":\"",
                if failed { b"failed" } else { b"success" },
            );
            put("\"}", b"");
        }
        Log::Notification => {
            put(
                "{\"subject\":\"Your sign-in code\",\"recipient\":[\"",
                if row.email.is_empty() { b"ops@acme.example" } else { &row.email },
            );
            put("\"],\"category\":\"sign-in\",\"status\":\"", if failed { b"bounced" } else { b"sent" });
            put("\"}", b"");
        }
        Log::Session => {
            uuid(random.next(), random.next(), b'4', &mut id);
            put("{\"id\":\"", if row.session_id.is_empty() { &id } else { &row.session_id });
            put("\",\"protocol\":\"oidc\",\"user_id\":\"", &row.actor_id);
            put("\",\"status\":\"revoked\"}", b"");
        }
        Log::Grant => {
            uuid(random.next(), random.next(), b'4', &mut id);
            put("{\"id\":\"", &id);
            put("\",\"user_id\":\"", &row.actor_id);
            put("\",\"status\":\"active\",\"scopes\":[\"openid\",\"email\"]}", b"");
        }
    }
}

#[cfg(test)]
mod tests;
