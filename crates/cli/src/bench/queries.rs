//! The reading half: the same questions to both sides, one after the other on one connection.
//!
//! Owns: the questions, as requests and as SQL, drawn from the records' own seed; timing them; that both sides find the same
//! number of rows. Not here: what the answers mean beyond that.

use std::time::Instant;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    Fault, Side,
    generate::{Generator, Row, SPAN, USERS},
    http::{Client, percent},
    latencies, members, micros,
    postgres::Postgres,
    tables::{ABSENT, COMMON, RARE, Random},
    text::{DAY, rfc3339},
};

/// What is asked, and how often.
#[derive(Clone, Debug, Args)]
pub struct QueryArgs {
    /// How often each quick question is asked, each time about another record; slow ones are asked a tenth of it, at least 5 times.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,
    /// Only the questions whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where each question's draws begin; another number asks about other records.
    #[arg(long, default_value_t = 1)]
    draw: u64,
}

/// One question as each side is asked it; an empty text: that side cannot be.
#[derive(Clone, Debug, Default)]
struct Ask {
    /// Path and query of a GET, or of a POST if there is a body.
    path: String,
    body: String,
    /// The path is asked twice, and only the second page, by the first one's cursor, is timed.
    next_page: bool,
    sql: String,
}

/// A question, and how each of its askings is drawn.
struct Question {
    name: &'static str,
    slow: bool,
    draw: fn(&World, &mut Random) -> Ask,
}

/// What the questions are about.
struct World<'a> {
    generator: &'a Generator,
    records: u64,
    tenant: String,
    from: String,
    to: String,
}

const QUESTIONS: &[Question] = &[
    Question {
        name: "request_id",
        slow: false,
        draw: |world, random| world.find("request_id", &world.some(random).request_id, 100),
    },
    Question {
        name: "request_id_absent",
        slow: false,
        draw: |world, random| {
            let id = format!("{:016x}{:016x}", random.next(), random.next());
            world.find("request_id", id.as_bytes(), 100)
        },
    },
    Question {
        name: "session_id",
        slow: false,
        draw: |world, random| {
            let id = std::iter::repeat_with(|| world.some(random).session_id).find(|id| !id.is_empty());
            world.find("session_id", &id.unwrap_or_default(), 100)
        },
    },
    // Of a random record: mostly people with many records.
    Question {
        name: "email",
        slow: false,
        draw: |world, random| {
            let email = std::iter::repeat_with(|| world.some(random).email).find(|email| !email.is_empty());
            world.find("actor.email", &email.unwrap_or_default(), 1)
        },
    },
    // Of a person of the less active half: a few records scattered over the month.
    Question {
        name: "email_seldom",
        slow: false,
        draw: |world, random| {
            let user = USERS / 2 + random.below(USERS as u64 / 2) as usize;
            world.find("actor.email", Generator::email_of(user).as_bytes(), 100)
        },
    },
    Question { name: "page_newest", slow: false, draw: |world, _| world.page(&world.to) },
    Question { name: "page_deep", slow: false, draw: |world, random| world.page(&world.time_of(world.deep(random))) },
    Question { name: "page_next", slow: false, draw: |world, random| world.next_page(random) },
    Question { name: "contains_common", slow: false, draw: |world, _| world.contains(COMMON, 100) },
    Question { name: "contains_rare", slow: true, draw: |world, _| world.contains(RARE, 1_000) },
    Question { name: "contains_absent", slow: true, draw: |world, _| world.contains(ABSENT, 1_000) },
    Question {
        name: "histogram_day_action",
        slow: true,
        draw: |world, _| {
            Ask {
        path: format!("/v1/t/{}/query", world.tenant),
        body: json!({"view": "records", "from": world.from, "to": world.to, "interval": "1d", "count_by": "action"}).to_string(),
        sql: "select date_trunc('day', time at time zone 'UTC'), action, count(*) from records group by 1, 2 order by 1, 2".into(),
        ..Ask::default()
    }
        },
    },
    Question {
        name: "top10_ip_failures",
        slow: true,
        draw: |world, _| {
            Ask {
        path: format!("/v1/t/{}/query", world.tenant),
        body: json!({"view": "records", "from": world.from, "to": world.to, "q": "outcome:failure", "count_by": "ip", "limit": 10})
            .to_string(),
        sql: "select ip, count(*) from records where outcome = 'failure' group by 1 order by 2 desc, 1 limit 10".into(),
        ..Ask::default()
    }
        },
    },
    Question {
        name: "proof",
        slow: false,
        draw: |world, random| Ask {
            path: format!("/v1/t/{}/records/{}/proof", world.tenant, String::from_utf8_lossy(&world.some(random).id)),
            ..Ask::default()
        },
    },
];

impl World<'_> {
    fn record(&self, number: u64) -> Row {
        let mut row = Row::default();
        self.generator.fill(number, &mut row);
        row
    }

    /// A random record.
    fn some(&self, random: &mut Random) -> Row {
        self.record(random.below(self.records))
    }

    /// The number of a record from the middle of the month.
    fn deep(&self, random: &mut Random) -> u64 {
        self.records / 5 + random.below((self.records * 3 / 5).max(1))
    }

    fn time_of(&self, number: u64) -> String {
        String::from_utf8_lossy(&self.record(number).time_text).into_owned()
    }

    fn path(&self, filter: &str, to: &str, limit: u32) -> String {
        let q = if filter.is_empty() { String::new() } else { format!("q={}&", percent(filter)) };
        format!("/v1/t/{}/records?{q}from={}&to={}&limit={limit}", self.tenant, percent(&self.from), percent(to))
    }

    fn find(&self, key: &str, value: &[u8], limit: u32) -> Ask {
        let value = String::from_utf8_lossy(value);
        let column = key.replace('.', "_");
        Ask {
            path: self.path(&format!("{key}:\"{value}\""), &self.to, limit),
            sql: format!("select * from records where {column} = '{value}' order by time desc, id desc limit {limit}"),
            ..Ask::default()
        }
    }

    fn page(&self, to: &str) -> Ask {
        Ask {
            path: self.path("", to, 100),
            sql: format!("select * from records where time < '{to}' order by time desc, id desc limit 100"),
            ..Ask::default()
        }
    }

    /// The page that follows a deep one. Times ascend with the records' numbers, so where the first page ends is known here.
    fn next_page(&self, random: &mut Random) -> Ask {
        let first = self.deep(random).max(100);
        let last = self.record(first.saturating_sub(100));
        let (time, id) = (String::from_utf8_lossy(&last.time_text), String::from_utf8_lossy(&last.id));
        let page = self.page(&self.time_of(first));
        let sql = format!(
            "select * from records where (time, id) < ('{time}', '{id}') order by time desc, id desc limit 100"
        );
        Ask { next_page: true, sql, ..page }
    }

    fn contains(&self, word: &str, limit: u32) -> Ask {
        Ask {
            path: self.path(&format!("message~{word}"), &self.to, limit),
            sql: format!(
                "select * from records where message like '%{word}%' order by time desc, id desc limit {limit}"
            ),
            ..Ask::default()
        }
    }
}

/// A side being asked.
enum Asked {
    Indelible(Client),
    Postgres(Postgres),
}

impl Asked {
    /// Asks once: how long it took and how many rows came back.
    fn ask(&mut self, ask: &Ask) -> Result<(u32, usize), Fault> {
        match self {
            Asked::Postgres(connection) => {
                let started = Instant::now();
                let rows = connection.query(&ask.sql)?;
                Ok((micros(started), rows.len()))
            }
            Asked::Indelible(client) if ask.next_page => {
                let (_, first) = send(client, &ask.path, "")?;
                let cursor = first["next_cursor"].as_str().ok_or_else(|| format!("{}: no next_cursor", ask.path))?;
                let (taken, second) = send(client, &format!("{}&cursor={}", ask.path, percent(cursor)), "")?;
                Ok((taken, rows(&second)))
            }
            Asked::Indelible(client) => {
                let (taken, body) = send(client, &ask.path, &ask.body)?;
                Ok((taken, rows(&body)))
            }
        }
    }
}

fn send(client: &mut Client, path: &str, body: &str) -> Result<(u32, Value), Fault> {
    let started = Instant::now();
    let answer = match body {
        "" => client.send("GET", path, "", b"")?,
        body => client.send("POST", path, "application/json", body.as_bytes())?,
    };
    let taken = micros(started);
    if answer.status != 200 {
        return Err(format!("{path} {body}: the server answered {}: {}", answer.status, answer.excerpt()).into());
    }
    Ok((taken, serde_json::from_slice(&answer.body).map_err(|error| format!("{path}: not JSON: {error}"))?))
}

/// The rows of an answer: its `items`, or else its longest list; an object without lists is one.
fn rows(body: &Value) -> usize {
    let lists = || body.as_object().into_iter().flat_map(|members| members.values()).filter_map(Value::as_array);
    body["items"].as_array().or_else(|| lists().max_by_key(|list| list.len())).map_or(1, Vec::len)
}

/// Asks every question of `side`, which holds records 0 to `records` of `generator`; a line per question.
///
/// # Errors
/// A question is not answered with 200, or not answered by rows at all.
pub fn run(
    side: &Side,
    generator: &Generator,
    records: u64,
    args: &QueryArgs,
    line: &mut dyn FnMut(Map<String, Value>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let text = |time: i64| {
        let mut out = Vec::new();
        rfc3339(time, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    let (mut asked, tenant) = match side {
        Side::Indelible(target, tenant) => (Asked::Indelible(Client::new(target)), tenant.clone()),
        Side::Postgres(at) => (Asked::Postgres(Postgres::connect(at)?), String::new()),
    };
    let (from, to) = (text(generator.start()), text(generator.start() + SPAN + 7 * DAY));
    let world = World { generator, records, tenant, from, to };
    for question in QUESTIONS.iter().filter(|question| question.name.contains(&args.only)) {
        let mut random = Random::new(args.draw, 0);
        let times = if question.slow { (args.times / 10).max(5) } else { args.times };
        let asks: Vec<Ask> = (0..=times).map(|_| (question.draw)(&world, &mut random)).collect();
        if matches!(side, Side::Postgres(_)) && asks[0].sql.is_empty() {
            continue;
        }
        let (mut taken, mut found) = (Vec::new(), 0);
        // The first asking only warms up.
        asked.ask(&asks[0])?;
        for ask in &asks[1..] {
            let (micros, rows) = asked.ask(ask)?;
            taken.push(micros);
            found += rows;
        }
        let mut result = members(
            json!({"bench": "query", "name": question.name, "records": records, "times": times, "rows": found}),
        );
        result.extend(latencies(taken));
        eprintln!(
            "{}: {} p50 {} ms, p99 {} ms, {found} rows",
            side.name(),
            question.name,
            result["p50_ms"],
            result["p99_ms"]
        );
        line(result)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::generate::{END, SEED};
    use super::*;

    #[test]
    fn questions_are_about_records_that_exist_and_say_the_same_to_both() {
        let generator = Generator::new(SEED, END, 10_000);
        let world = World {
            generator: &generator,
            records: 10_000,
            tenant: "bench".into(),
            from: "2025-12-02T00:00:00Z".into(),
            to: "2026-01-08T00:00:00Z".into(),
        };
        let mut random = Random::new(1, 0);
        for question in QUESTIONS {
            let ask = (question.draw)(&world, &mut random);
            assert!(ask.path.starts_with("/v1/t/bench/"), "{}", question.name);
            assert_eq!(ask.sql.is_empty(), question.name == "proof", "{}", question.name);
            assert!(!ask.path.contains(['"', ' ', '@']), "{}", ask.path);
            if !ask.body.is_empty() {
                serde_json::from_str::<Value>(&ask.body).unwrap();
            }
        }
        let row = world.some(&mut Random::new(5, 0));
        let ask = (QUESTIONS[0].draw)(&world, &mut Random::new(5, 0));
        assert!(ask.path.contains(std::str::from_utf8(&row.request_id).unwrap()) && ask.sql.contains("request_id = '"));
    }

    #[test]
    fn rows_are_counted_in_any_shape() {
        assert_eq!(rows(&json!({"items": [1, 2], "from": []})), 2);
        assert_eq!(rows(&json!({"counts": [1, 2, 3], "total": 6})), 3);
        assert_eq!(rows(&json!({"record": {}, "index": 7})), 1);
    }
}
