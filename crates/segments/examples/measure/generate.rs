//! Records like those of a company's logins: 40,000 users, Zipf, fixed seed.

use event::encode::{put, put_time};
use event::{Field, Kind};

/// A small fixed generator (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub fn hex(&mut self, digits: usize) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())[..digits].to_owned()
    }

    pub fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }
}

struct User {
    id: String,
    name: String,
    email: String,
    ips: [String; 2],
    agent: usize,
    session: String,
}

/// One generated record.
pub struct Record {
    pub time: i64,
    pub id: String,
    pub row: Vec<u8>,
    /// Its size as compact JSON, about.
    pub json: usize,
}

pub struct Generator {
    random: Random,
    users: Vec<User>,
    /// Cumulated Zipf weights.
    zipf: Vec<f64>,
    agents: Vec<String>,
    clients: Vec<(String, String)>,
    time: i64,
    step: i64,
}

const FIRST: &[&str] = &[
    "Anna", "Ben", "Clara", "David", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kenji", "Lena", "Marta",
    "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Sami", "Tara", "Uwe", "Vera", "Wim", "Xenia", "Yusuf", "Zoe",
];
const LAST: &[&str] = &[
    "Almeida", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jansen", "Kowalski",
    "Lopez", "Meyer", "Novak", "Okafor", "Petrov", "Quist", "Rossi", "Schmidt", "Tanaka", "Ueda", "Vogel", "Weber",
    "Xu", "Yilmaz", "Zhang",
];
const ACTIONS: &[(&str, &str, &str)] = &[
    ("LOGIN", "auth", "user"),
    ("LOGIN", "auth", "user"),
    ("CODE_TO_TOKEN", "auth", "client"),
    ("REFRESH_TOKEN", "auth", "client"),
    ("REFRESH_TOKEN", "auth", "client"),
    ("LOGOUT", "auth", "user"),
    ("LOGIN_ERROR", "auth", "user"),
    ("UPDATE_PASSWORD", "auth", "user"),
    ("INTROSPECT_TOKEN", "auth", "client"),
    ("user.update", "admin", "user"),
    ("group.member.add", "admin", "group"),
    ("role.assign", "admin", "role"),
    ("document.read", "access", "document"),
    ("document.read", "access", "document"),
];

impl Generator {
    /// `days` of records, `n` in all.
    pub fn new(seed: u64, n: usize, days: i64) -> Generator {
        let mut random = Random::new(seed);
        let users = (0..40_000)
            .map(|i| {
                let first = FIRST[random.below(26) as usize];
                let last = LAST[random.below(26) as usize];
                let ip = |r: &mut Random| {
                    format!("{}.{}.{}.{}", 20 + r.below(180), r.below(256), r.below(256), r.below(256))
                };
                User {
                    id: random.uuid(),
                    name: format!("{first} {last}"),
                    email: format!(
                        "{}.{}{}@{}",
                        first.to_lowercase(),
                        last.to_lowercase(),
                        i,
                        ["example.com", "corp.example", "mail.example"][i % 3]
                    ),
                    ips: [ip(&mut random), ip(&mut random)],
                    agent: random.below(120) as usize,
                    session: random.uuid(),
                }
            })
            .collect();
        let mut sum = 0.0;
        let zipf = (1..=40_000)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        let agents = (0..120)
            .map(|i| {
                format!("Mozilla/5.0 (Windows NT 10.0) Chrome/{}.0.{}.0 Safari/537.36", 110 + i % 20, 5000 + i * 7)
            })
            .collect();
        let clients = (0..60).map(|i| (format!("app-{i:02}"), format!("Application {i}"))).collect();
        let span = days * 86_400_000;
        Generator { random, users, zipf, agents, clients, time: 1_780_000_000_000, step: (span / n as i64).max(1) }
    }

    fn user(&mut self) -> usize {
        let total = *self.zipf.last().unwrap();
        let x = (self.random.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.zipf.partition_point(|w| *w < x).min(self.users.len() - 1)
    }

    /// The next record, oldest first.
    pub fn record(&mut self) -> Record {
        self.time += self.random.below(2 * self.step as u64 + 1) as i64;
        let u = self.user();
        let r = &mut self.random;
        let (action, log, target) = ACTIONS[r.below(ACTIONS.len() as u64) as usize];
        let failed = action == "LOGIN_ERROR" || r.below(40) == 0;
        if r.below(12) == 0 {
            self.users[u].session = r.uuid();
        }
        let user = &self.users[u];
        let ip = &user.ips[usize::from(r.below(10) == 0)];
        let (client, client_name) = &self.clients[(r.below(60) * r.below(60) / 60) as usize];
        let h = r.hex(19);
        let id = format!(
            "{:08x}-{:04x}-7{}-b{}-{}",
            self.time >> 16,
            self.time & 0xffff,
            &h[..3],
            &h[3..6],
            &format!("{h}000000")[6..18]
        );
        let request = r.hex(32);
        let document;
        let (target_id, target_name) = match target {
            "user" => (user.id.as_str(), user.email.as_str()),
            "client" => (client.as_str(), client_name.as_str()),
            _ => {
                let d = r.below(20_000);
                document = (format!("{target}-{:x}", d.wrapping_mul(0x9e37_79b9_7f4a_7c15)), format!("{target} {d}"));
                (document.0.as_str(), document.1.as_str())
            }
        };
        let message = match action {
            "LOGIN" => format!("{} signed in to {client_name} from {ip}", user.name),
            "LOGIN_ERROR" => format!("{} could not sign in to {client_name}: wrong password", user.name),
            "document.read" => format!("{} opened {target_name}", user.name),
            _ => format!("{action} by {} through {client_name}", user.name),
        };
        let attributes = format!(
            "{{\"method\":\"{}\",\"node\":{}}}",
            ["password", "webauthn", "otp", "sso"][r.below(4) as usize],
            r.below(8)
        );
        let time = self.time * 1000;
        let mut row = Vec::with_capacity(700);
        let mut json = 2;
        let mut text = |field: Field, value: &str| {
            put(&mut row, field, value.as_bytes());
            json += field.spec().path.rsplit('.').next().map_or(0, str::len)
                + value.len()
                + if field.spec().kind == Kind::Json { 4 } else { 6 };
            if field == Field::Log {
                put_time(&mut row, Field::Time, time);
                json += 35;
            }
        };
        text(Field::Id, &id);
        text(Field::Log, log);
        text(Field::Source, "keycloak");
        text(Field::Action, action);
        text(Field::Outcome, if failed { "failure" } else { "success" });
        text(Field::ActorType, "user");
        text(Field::TargetType, target);
        text(Field::ClientId, client);
        text(Field::RequestId, &request);
        if failed {
            text(Field::ErrorCode, "invalid_user_credentials");
        }
        text(Field::ActorId, &user.id);
        text(Field::ActorEmail, &user.email);
        text(Field::Ip, ip);
        text(Field::UserAgent, &self.agents[user.agent]);
        text(Field::SessionId, &user.session);
        text(Field::Message, &message);
        text(Field::Attributes, &attributes);
        text(Field::TargetId, target_id);
        if target != "user" {
            text(Field::TargetName, target_name);
        }
        Record { time, id, row, json }
    }
}
