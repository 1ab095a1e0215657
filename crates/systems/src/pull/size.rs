//! How many records a page is asked for with, where those of a usual one are too much for one answer.
//!
//! It stands in front of what leads to the page, so that it holds for the pages behind it and after a restart. A system that cannot be
//! asked for fewer ([`most`](super::Pull::most)) has none of it.

/// Begins and ends the number. No system's token is known to have it.
const MARK: char = '\u{1}';

/// How many records a page has at most, and what leads to it.
pub fn of(page: Option<&str>, usual: usize) -> (usize, Option<&str>) {
    let marked = page.and_then(|page| page.strip_prefix(MARK)).and_then(|rest| {
        let (most, token) = rest.split_once(MARK)?;
        Some((most.parse::<usize>().ok()?, token))
    });
    match marked {
        Some((most, token)) => (most.clamp(1, usual.max(1)), Some(token).filter(|token| !token.is_empty())),
        None => (usual, page),
    }
}

/// What leads to a page of so many records; `None` for the first page of the usual size.
pub fn with(most: usize, usual: usize, token: Option<&str>) -> Option<String> {
    let token = token.unwrap_or_default();
    if most >= usual && !token.starts_with(MARK) {
        return (!token.is_empty()).then(|| token.to_owned());
    }
    Some(format!("{MARK}{most}{MARK}{token}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_size_and_a_token_come_back_as_they_were_put_together(
            most in 1usize..=500, token in proptest::option::of("[\u{1}a-z0-9=]{1,12}"),
        ) {
            let page = with(most, 500, token.as_deref());
            prop_assert_eq!(of(page.as_deref(), 500), (most, token.as_deref()));
        }

        #[test]
        fn whatever_was_kept_is_a_page(page in proptest::option::of("[\u{1}0-9a-z]{0,30}")) {
            let (most, _) = of(page.as_deref(), 500);
            prop_assert!((1..=500).contains(&most));
        }
    }
}
