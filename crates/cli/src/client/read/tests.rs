use super::*;
use crate::client::testing::{Asked, Fake, Says, connect};

fn run(act: impl FnOnce(&mut Console<'_>) -> Outcome) -> (Outcome, String) {
    let mut out = Vec::new();
    let outcome = act(&mut Console::to(&mut out));
    (outcome, String::from_utf8(out).unwrap())
}

fn search_args(url: &str, format: Format) -> SearchArgs {
    SearchArgs {
        tenant: "acme".into(),
        filter: Some("action:login".into()),
        view: "records".into(),
        from: None,
        to: None,
        limit: None,
        all: false,
        output: OutputArgs { output: format, json: false },
        connect: connect(url),
    }
}

/// 2,500 records in pages, newest first.
fn pages(asked: &Asked) -> (u16, String) {
    let value = |name: &str| {
        let (_, query) = asked.path.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    let from: u64 = value("cursor").map_or(0, |text| text.parse().unwrap());
    let limit: u64 = value("limit").unwrap().parse().unwrap();
    let to = (from + limit).min(2500);
    let items: Vec<String> = (from..to).map(|n| format!("{{\"id\":\"{n}\"}}")).collect();
    let next = if to < 2500 { format!("\"{to}\"") } else { "null".into() };
    (200, format!("{{\"items\":[{}],\"next_cursor\":{next},\"from\":null,\"to\":null}}", items.join(",")))
}

#[test]
fn search_follows_pages_up_to_the_limit() {
    let fake = Fake::new(pages);
    let count = |limit, all| {
        let args = SearchArgs { limit, all, ..search_args(&fake.url, Format::Jsonl) };
        let (outcome, text) = run(|console| search(&args, &Client::new(&args.connect)?, console));
        assert_eq!(outcome, Ok(Exit::Ok));
        text.lines().count()
    };
    assert_eq!(count(None, false), 100);
    assert_eq!(count(Some(1500), false), 1500);
    assert_eq!(count(None, true), 2500);
    assert_eq!(count(Some(2), true), 2);
    let first = &fake.asked()[0];
    assert_eq!(first.path, "/v1/t/acme/records?q=action%3Alogin&limit=100");
}

#[test]
fn a_server_that_turns_in_circles_is_noticed() {
    let fake = Fake::new(|_: &Asked| (200, r#"{"items":[],"next_cursor":"x"}"#.to_owned()));
    let args = SearchArgs { all: true, ..search_args(&fake.url, Format::Json) };
    let (outcome, _) = run(|console| search(&args, &Client::new(&args.connect)?, console));
    assert_eq!(outcome.unwrap_err().exit, Exit::Failure);
}

#[test]
fn get_asks_for_the_id_as_it_is_spelled() {
    let fake = Fake::new(|_: &Asked| (200, r#"{"id":"a/b","actor":{"name":"Ann","email":null},"n":[1,2]}"#.to_owned()));
    let output = |output| OutputArgs { output, json: false };
    let args = |o| GetArgs { tenant: "t".into(), id: "a/b".into(), output: output(o), connect: connect(&fake.url) };
    let (_, text) = run(|console| get(&args(Format::Table), &Client::new(&connect(&fake.url))?, console));
    assert_eq!(text, "id          a/b\nactor.name  Ann\nn           [1,2]\n");
    let (_, text) = run(|console| get(&args(Format::Json), &Client::new(&connect(&fake.url))?, console));
    assert!(text.starts_with("{\n  \"id\": \"a/b\",\n  \"actor\": {\n"));
    assert_eq!(fake.asked()[0].path, "/v1/t/t/records/a%2Fb");
}

#[test]
fn ask_says_what_it_understood() {
    let fake = Fake::new(|asked: &Asked| {
        let page = if asked.path.ends_with("run=true") {
            r#","items":[{"id":"1","log":"event"}],"next_cursor":null"#
        } else {
            ""
        };
        (
            200,
            format!(
                r#"{{"filter":"outcome:failure","from":"2026-11-19T00:00:00Z","to":null,"ignored":["please"],"explanation":"failures"{page}}}"#
            ),
        )
    });
    let args = |run| AskArgs {
        tenant: "t".into(),
        question: "failures please".into(),
        view: "records".into(),
        tz: Some("Europe/Prague".into()),
        run,
        output: OutputArgs::default(),
        connect: connect(&fake.url),
    };
    let client = Client::new(&connect(&fake.url)).unwrap();
    let (_, text) = run(|console| ask(&args(false), &client, console));
    assert!(text.contains("explanation  failures\nfilter       outcome:failure\n"), "{text}");
    assert_eq!(fake.asked()[0].text(), r#"{"question":"failures please","tz":"Europe/Prague","view":"records"}"#);
    let (_, text) = run(|console| ask(&args(true), &client, console));
    assert!(text.contains("LOG") && text.contains("event"), "{text}");
}

#[test]
fn sql_in_every_format() {
    let fake = Fake::new(|asked: &Asked| match asked.header("accept") {
        Some("text/csv") => Says {
            status: 200,
            headers: vec![("content-type", "text/csv; header=present".into())],
            body: b"a,b\n1,x\n".to_vec(),
        },
        _ => (
            200,
            r#"{"columns":[{"name":"a","type":"Int64"},{"name":"b\"","type":"Utf8"}],"rows":[[1,"x"],[null,"y,z"]]}"#
                .to_owned(),
        )
            .into(),
    });
    let client = Client::new(&connect(&fake.url)).unwrap();
    let of = |format| {
        let args = SqlArgs {
            tenant: "t".into(),
            sql: "select 1".into(),
            output: OutputArgs { output: format, json: false },
            connect: connect(&fake.url),
        };
        run(|console| sql(&args, &client, console)).1
    };
    assert_eq!(of(Format::Csv), "a,b\n1,x\n");
    assert_eq!(of(Format::Jsonl), "{\"a\":1,\"b\\\"\":\"x\"}\n{\"a\":null,\"b\\\"\":\"y,z\"}\n");
    assert!(of(Format::Json).starts_with("{\"columns\""));
    assert_eq!(of(Format::Table), "A  B\"\n1  x\n   y,z\n");
}

#[test]
fn prove_writes_the_answer_as_it_came() {
    let fake = Fake::new(|_: &Asked| (200, r#"{"record":{},"index":3}"#.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.json");
    let args =
        ProveArgs { tenant: "t".into(), id: "x".into(), out_file: Some(file.clone()), connect: connect(&fake.url) };
    let (outcome, text) = run(|console| prove(&args, &Client::new(&args.connect)?, console));
    assert_eq!((outcome, text.as_str()), (Ok(Exit::Ok), ""));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "{\"record\":{},\"index\":3}\n");
    assert_eq!(fake.asked()[0].path, "/v1/t/t/records/x/proof");
}
