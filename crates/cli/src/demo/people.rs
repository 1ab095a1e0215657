//! Who and what a demo tenant consists of: people, their devices and addresses, applications, identity providers.
//!
//! Owns: names and addresses. Nobody here exists: every domain is below `example.com` (RFC 2606) and every address is
//! private or set aside for documentation (RFC 1918, 5737, 3849). Not here: what these people do.

use super::random::Random;

/// Someone with an account in every system of the tenant.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) username: String,
    /// UUID of the person.
    pub(super) id: String,
    /// UUID of the identity that acts for the person (Contember keeps the two apart).
    pub(super) identity: String,
    /// The number that the guide's service knows the person by.
    pub(super) number: String,
    /// The places that the person signs in from, the usual one first.
    pub(super) places: Vec<Place>,
}

/// A device on a network.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) ip: String,
    pub(super) user_agent: &'static str,
}

/// An application that people sign in to.
#[derive(Clone, Copy, Debug)]
pub(super) struct App {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) protocol: &'static str,
}

/// An identity provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
}

/// Applications; a tenant has the first few.
pub(super) const APPS: [App; 8] = [
    App { id: "auth-ui", name: "auth ui", protocol: "OIDC" },
    App { id: "customer-portal", name: "Customer Portal", protocol: "OIDC" },
    App { id: "reportmgr", name: "reportmgr", protocol: "SAML" },
    App { id: "mobile-app", name: "Mobile App", protocol: "OIDC" },
    App { id: "billing", name: "Billing", protocol: "OIDC" },
    App { id: "hr-desk", name: "HR Desk", protocol: "SAML" },
    App { id: "warehouse", name: "Data Warehouse", protocol: "OIDC" },
    App { id: "support-desk", name: "Support Desk", protocol: "OIDC" },
];

/// Identity providers; every tenant has all of them.
pub(super) const PROVIDERS: [Provider; 4] = [
    Provider { id: "idp-local", name: "Local", kind: "password" },
    Provider { id: "idp-google", name: "Google", kind: "oidc" },
    Provider { id: "idp-azure", name: "Azure AD", kind: "oidc" },
    Provider { id: "idp-github", name: "GitHub", kind: "oauth2" },
];

/// Groups and roles that administrators change.
pub(super) const GROUPS: [&str; 7] =
    ["billing", "support", "engineering", "auditors", "contractors", "night shift", "test group"];
/// Roles.
pub(super) const ROLES: [&str; 6] = ["admin", "auditor", "editor", "viewer", "billing manager", "test role"];

const GIVEN: [(&str, &str); 40] = [
    ("Ada", "ada"),
    ("Amara", "amara"),
    ("Anneke", "anneke"),
    ("Björn", "bjorn"),
    ("Carlos", "carlos"),
    ("Chiara", "chiara"),
    ("Daniel", "daniel"),
    ("Deniz", "deniz"),
    ("Elif", "elif"),
    ("Emeka", "emeka"),
    ("Fatima", "fatima"),
    ("Freya", "freya"),
    ("Grace", "grace"),
    ("Hana", "hana"),
    ("Hugo", "hugo"),
    ("Ines", "ines"),
    ("Ivan", "ivan"),
    ("Jonas", "jonas"),
    ("Kaito", "kaito"),
    ("Kirsi", "kirsi"),
    ("Leïla", "leila"),
    ("Lena", "lena"),
    ("Mateo", "mateo"),
    ("Mei", "mei"),
    ("Milan", "milan"),
    ("Nadia", "nadia"),
    ("Noah", "noah"),
    ("Olga", "olga"),
    ("Omar", "omar"),
    ("Priya", "priya"),
    ("Ravi", "ravi"),
    ("Rosa", "rosa"),
    ("Samir", "samir"),
    ("Sofia", "sofia"),
    ("Tariq", "tariq"),
    ("Tomáš", "tomas"),
    ("Uma", "uma"),
    ("Wanjiru", "wanjiru"),
    ("Yuki", "yuki"),
    ("Zoë", "zoe"),
];

const FAMILY: [(&str, &str); 40] = [
    ("Adeyemi", "adeyemi"),
    ("Andersson", "andersson"),
    ("Bauer", "bauer"),
    ("Bianchi", "bianchi"),
    ("Chen", "chen"),
    ("Costa", "costa"),
    ("Dubois", "dubois"),
    ("Eriksen", "eriksen"),
    ("Fernández", "fernandez"),
    ("Fischer", "fischer"),
    ("Garcia", "garcia"),
    ("Haddad", "haddad"),
    ("Horák", "horak"),
    ("Ito", "ito"),
    ("Jansen", "jansen"),
    ("Kaya", "kaya"),
    ("Kimani", "kimani"),
    ("Kowalski", "kowalski"),
    ("Lindqvist", "lindqvist"),
    ("Mbeki", "mbeki"),
    ("Meyer", "meyer"),
    ("Moreau", "moreau"),
    ("Müller", "mueller"),
    ("Nakamura", "nakamura"),
    ("Novák", "novak"),
    ("Nwosu", "nwosu"),
    ("O'Brien", "obrien"),
    ("Okafor", "okafor"),
    ("Papadaki", "papadaki"),
    ("Patel", "patel"),
    ("Petrov", "petrov"),
    ("Rossi", "rossi"),
    ("Santos", "santos"),
    ("Sharma", "sharma"),
    ("Silva", "silva"),
    ("Tanaka", "tanaka"),
    ("Virtanen", "virtanen"),
    ("Weber", "weber"),
    ("Yılmaz", "yilmaz"),
    ("Zhang", "zhang"),
];

const BROWSERS: [&str; 9] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
];

/// Programs that are not browsers, as seen from scripts and attackers.
pub(super) const TOOLS: [&str; 3] = ["curl/8.17.0", "python-requests/2.32.5", "okhttp/5.2.1"];

/// A tenant's people, without two of the same address. The first of them are its administrators.
pub(super) fn people(random: &mut Random, count: usize, domain: &str) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::with_capacity(count);
    let office = random.below(40) + 10;
    while people.len() < count {
        let (given, given_plain) = random.pick(&GIVEN);
        let (family, family_plain) = random.pick(&FAMILY);
        let username = format!("{given_plain}.{family_plain}");
        if people.iter().any(|person| person.username == username) {
            continue;
        }
        let places = places(random, office);
        people.push(Person {
            name: format!("{given} {family}"),
            email: format!("{username}@{domain}"),
            username,
            id: random.uuid(),
            identity: random.uuid(),
            number: (1001 + people.len() * 3).to_string(),
            places,
        });
    }
    people
}

/// A desk in the office, mostly a place at home, sometimes a phone.
fn places(random: &mut Random, office: usize) -> Vec<Place> {
    let desk = format!("10.{office}.{}.{}", random.below(6), 2 + random.below(250));
    let computer = random.pick(&BROWSERS[..6]);
    let mut places = vec![Place { ip: desk, user_agent: computer }];
    if random.percent(80) {
        let host = 1 + random.below(250);
        let ip = match random.below(5) {
            0 => format!("192.0.2.{host}"),
            1 | 2 => format!("198.51.100.{host}"),
            3 => format!("192.168.{}.{host}", random.below(4)),
            _ => format!("2001:db8:{:x}:{:x}::{host:x}", 1 + random.below(0xfffe), 1 + random.below(0xfffe)),
        };
        places.push(Place { ip, user_agent: computer });
    }
    if random.percent(45) {
        let ip = format!("172.{}.{}.{}", 16 + random.below(16), random.below(256), 1 + random.below(250));
        places.push(Place { ip, user_agent: random.pick(&BROWSERS[6..]) });
    }
    places
}
