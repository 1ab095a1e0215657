//! Questions: an answer's query can be said as filter text, and what was not used lies in the question.
#![no_main]
use indelible_fuzz::{NOW, lang, view};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (choice, question) = input;
    let view = view(choice);
    let clock = lang::Clock::utc(NOW);
    if let Ok(answer) = lang::ask::ask(question, view, &clock) {
        for ignored in &answer.ignored {
            assert!(question.get(ignored.span.clone()).is_some());
        }
        let _ = answer.to_json();
        let text = lang::text::print(&answer.query.filter, answer.query.view);
        let again = lang::text::parse(&text, answer.query.view, &clock);
        assert_eq!(again, Ok(answer.query.filter.clone().normalized()), "{question:?} became {text:?}");
    }
});
