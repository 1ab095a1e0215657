use super::plan::Stream;
use super::*;

fn okta() -> &'static dyn Pull {
    puller("okta", &Map::new()).unwrap()
}

fn plan(settings: Value) -> Result<Plan, Problem> {
    let Value::Object(settings) = settings else { panic!("settings are an object") };
    Plan::of(&settings, 7, okta())
}

#[test]
fn settings_have_defaults_and_limits() {
    let plain = plan(json!({})).unwrap();
    assert_eq!((plain.since, plain.interval, plain.overlap, plain.settle, plain.check), (7, 30, 120, 300, 3600));
    assert_eq!(plain.keeps, Some(90 * 86_400));
    let other =
        plan(json!({ "since": "1970-01-01T00:00:01Z", "overlap_seconds": 86_400, "retention_days": 0 })).unwrap();
    assert_eq!((other.since, other.overlap, other.keeps), (SECOND, okta().step() / 2, None));
    for (name, value) in [
        ("interval_seconds", json!(0)),
        ("interval_seconds", json!("1")),
        ("check_minutes", json!(1e9)),
        ("since", json!("yesterday")),
        ("paused", json!(1)),
    ] {
        let refused = plan(json!({ name: value })).unwrap_err();
        assert!(refused.detail().contains(name), "{}", refused.detail());
    }
}

#[test]
fn a_position_is_read_as_it_was_written_and_a_broken_one_begins_again() {
    let stream = Stream { from: 1, to: Some(2), page: Some("p".into()), until: 1 };
    let position = Position { streams: [("events".to_owned(), stream.clone())].into(), saved: None, again: None };
    let text = serde_json::to_string(&position).unwrap();
    assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
    assert_eq!(position.stream("events", 0), stream);
    assert_eq!(position.stream("admin-events", 5), Stream { from: 5, to: None, page: None, until: 5 });
    assert_eq!(position.until(&["events", "admin-events"], 5), 1);
    assert_eq!(serde_json::from_str::<Position>("{\"streams\":7}").unwrap_or_default(), Position::default());
}

#[test]
fn a_system_that_cannot_be_asked_is_refused_by_name() {
    let refused = validate("auth0", &Map::new(), &BTreeMap::new()).unwrap_err();
    assert!(refused.detail().contains("keycloak"), "{}", refused.detail());
}

#[test]
fn what_was_compared_a_day_before_is_compared_once_more() {
    const DAY: i64 = 86_400 * SECOND;
    let owed = |from, to, owed, earliest| a_day_before(Window { from, to }, owed, earliest).map(|w| (w.from, w.to));
    let again = |from, to, earliest| owed(from, to, from - DAY, earliest);
    assert_eq!(again(5 * DAY, 5 * DAY + 60, 0), Some((4 * DAY, 4 * DAY + 60)));
    assert_eq!(again(5 * DAY, 9 * DAY, 0), Some((4 * DAY, 5 * DAY)), "not what was only now compared");
    assert_eq!(again(5 * DAY, 9 * DAY, 4 * DAY + 7), Some((4 * DAY + 7, 5 * DAY)));
    assert_eq!(again(0, 9 * DAY, 0), None, "the first comparison of all");
    assert_eq!(again(DAY / 2, DAY, 0), None);
    assert_eq!(owed(5 * DAY, 5 * DAY + 60, 2 * DAY, 0), Some((2 * DAY, 4 * DAY + 60)), "what failed before as well");
}
