use super::*;

fn rest(object: &Object<'_>) -> String {
    let mut out = String::new();
    object.write_members(&mut out);
    out
}

#[test]
fn what_is_not_taken_stays_as_it_stands() {
    let mut o = Object::parse(r#"{"a":"x","n":1.0,"o":{"in":"y","k":[1, 2]},"e":"","z":null}"#).unwrap();
    assert_eq!(o.take_text("a"), Some(Said::Plain("\"x\"")));
    assert_eq!(o.take_text("o.in"), Some(Said::Plain("\"y\"")));
    for kept in ["n", "e", "z", "o", "missing", "o.missing", "n.k"] {
        assert_eq!(o.take_text(kept), None, "{kept}");
    }
    assert_eq!(rest(&o), r#""n":1.0,"o":{"k":[1, 2]},"e":"","z":null"#);
    assert!(!o.ambiguous() && !o.is_empty());
}

#[test]
fn objects_and_names_with_dots_are_taken_whole() {
    let mut o = Object::parse(r#"{"a.b":"x","o":{"p":{"q":"y"}},"l":[1]}"#).unwrap();
    assert_eq!(o.text("o.p.q").as_deref(), Some("y"));
    assert_eq!((o.text("a.b"), o.member("a.b").map(AsRef::as_ref)), (None, Some("\"x\"")));
    assert_eq!((o.take_member("a.b").as_deref(), o.take_member("o")), (Some("\"x\""), None));
    assert_eq!(o.names().collect::<Vec<_>>(), ["o", "l"]);
    assert_eq!((o.json("o").as_deref(), o.json("l").as_deref()), (Some(r#"{"p":{"q":"y"}}"#), Some("[1]")));
    assert_eq!(rest(&o.take_object("o").unwrap()), r#""p":{"q":"y"}"#);
    assert_eq!((o.take_object("l"), o.take_object("o")), (None, None));
    assert_eq!(rest(&o), r#""l":[1]"#);
}

proptest::proptest! {
    #[test]
    fn what_is_looked_into_at_once_is_what_is_looked_into_later(
        text in "\\{(\"[ao]\":(1|\"x\"|\"\\\\u0041\"|\\{(\"[ao]\":(2|\\{\"o\":\\{\"a\":\\{\\}\\}\\}) ?,?){0,2}\\}),? ?){0,3}\\}",
        path in "[ao](\\.[ao]){0,3}",
    ) {
        let inside = [Inside("o", &[Inside("o", &[Inside("o", &[])])])];
        let (early, late) = (Object::parse_into(&text, &inside), Object::parse(&text));
        proptest::prop_assert_eq!(early.as_ref().err(), late.as_ref().err());
        if let (Ok(mut early), Ok(mut late)) = (early, late) {
            proptest::prop_assert_eq!(rest(&early), rest(&late));
            proptest::prop_assert_eq!((early.text(&path), early.has(&path)), (late.text(&path), late.has(&path)));
            proptest::prop_assert_eq!(early.take_text(&path), late.take_text(&path));
            proptest::prop_assert_eq!((rest(&early), early.ambiguous()), (rest(&late), late.ambiguous()));
        }
    }
}

#[test]
fn a_name_that_stands_twice_is_noticed_once_it_is_asked_for() {
    let mut o = Object::parse(r#"{"a":"x","b":1,"a":"y"}"#).unwrap();
    assert_eq!(o.text("b"), None);
    assert!(!o.ambiguous());
    assert!(o.take_text("a").is_some());
    assert!(o.ambiguous());
    let mut o = Object::parse(r#"{"o":{"a":1,"a":2}}"#).unwrap();
    o.take("o.a");
    assert!(o.ambiguous());
}

#[test]
fn a_text_that_was_added_is_one_that_was_read() {
    let fresh = || {
        let mut o = Object::default();
        ["x\"y", ""].into_iter().zip(["a", "e"]).for_each(|(text, name)| o.add_text(name, text));
        o
    };
    let mut o = fresh();
    assert_eq!((o.text("a").as_deref(), o.text("e").as_deref(), o.has("e")), (Some("x\"y"), Some(""), true));
    assert_eq!((o.take_text("a"), o.take_text("e")), (Some(Said::Text("x\"y".into())), None));
    assert_eq!((rest(&o), o.take_text("a")), (r#""e":"""#.to_owned(), None));
    let mut o = fresh();
    assert_eq!(o.raw("a").map(AsRef::as_ref), Some(r#""x\"y""#));
    assert_eq!(o.text("a").as_deref(), Some("x\"y"));
    assert_eq!((o.json("e").as_deref(), o.inner("e")), (Some(r#""""#), None));
    assert_eq!((o.take("a").as_deref(), o.take_member("e").as_deref()), (Some(r#""x\"y""#), Some(r#""""#)));
    assert!(o.is_empty());
    assert_eq!(rest(&fresh().into_owned()), r#""a":"x\"y","e":"""#);
    o.add_text("n", "x\0");
    assert_eq!(o.text("n"), None);
    assert_eq!(o.raw("n").map(AsRef::as_ref), Some(r#""x\u0000""#));
}

#[test]
fn texts_are_decoded_only_when_looked_at() {
    let mut o = Object::parse(r#"{"a\u0062":"x\ny"}"#).unwrap();
    assert_eq!(o.text("ab").as_deref(), Some("x\ny"));
    assert_eq!(rest(&o), r#""ab":"x\ny""#);
    assert_eq!(Object::parse("[1]").unwrap_err().code, "wrong_type");
    assert_eq!(Object::parse(r#"{"a":1} x"#).unwrap_err().code, "invalid_json");
}
