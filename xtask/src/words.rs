//! Words that must not be committed: the paths of one machine, hosts that only one network has.
//!
//! Looks at every file that git tracks or would take up; the list is `xtask/words.txt`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

const LIST: &str = "xtask/words.txt";
/// Bytes at the beginning of a file that tell text from other things.
const SNIFF: usize = 8000;

/// Looks through the tree.
///
/// # Errors
/// Every place found, one a line.
pub(crate) fn run(root: &Path) -> Result<String, String> {
    let list = std::fs::read_to_string(root.join(LIST)).map_err(|e| format!("could not read {LIST}: {e}"))?;
    let mut words = words(&list);
    words.extend(own(root, std::env::var_os("HOME").as_deref()));
    let files = crate::output(Command::new("git").current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut looked = 0;
    let mut wrong = Vec::new();
    for file in String::from_utf8_lossy(&files).split('\0').filter(|f| !f.is_empty() && *f != LIST) {
        // Removed in the work tree and not yet in git, or a link to nowhere: nothing to look at.
        let Ok(bytes) = std::fs::read(root.join(file)) else { continue };
        looked += 1;
        wrong.extend(find(&bytes, &words).into_iter().map(|(line, word)| format!("{file}:{line}: {word}")));
    }
    if wrong.is_empty() {
        return Ok(format!("words: {looked} files, none of {} words", words.len()));
    }
    Err(format!("words: {} found ({LIST} says what they are)\n  {}", wrong.len(), wrong.join("\n  ")))
}

fn words(list: &str) -> Vec<String> {
    list.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_lowercase).collect()
}

/// The home folder and the tree's own, as beginnings of paths. Folders that are everybody's are none of them.
fn own(root: &Path, home: Option<&OsStr>) -> Vec<String> {
    let everybodys = |folder: &&Path| *folder == std::env::temp_dir() || folder.parent().is_none();
    let folders = [home.map(Path::new), Some(root)].into_iter().flatten().filter(|folder| !everybodys(folder));
    folders.map(|folder| folder.to_string_lossy().to_lowercase() + "/").collect()
}

/// Line numbers and words found. Bytes that are not text are looked through as one line.
fn find(bytes: &[u8], words: &[String]) -> Vec<(usize, String)> {
    let binary = bytes.iter().take(SNIFF).any(|b| *b == 0);
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let lines: Vec<&str> = if binary { vec![&text] } else { text.lines().collect() };
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        for word in words {
            if line.match_indices(word.as_str()).any(|(at, _)| !word.starts_with('/') || begins_a_path(line, at)) {
                found.push((n + 1, word.clone()));
            }
        }
    }
    found
}

/// Whether the slash at `at` is the first of a path, and not inside a word, a longer path or a URL.
fn begins_a_path(line: &str, at: usize) -> bool {
    let before = line.get(..at).unwrap_or_default();
    // `file:///den/x` is a path as well.
    before.ends_with("file://") || !before.ends_with(|c: char| c.is_alphanumeric() || "._-/~}*$)>".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        find(text.as_bytes(), &words("# a comment\n/den/\n\nPrivate-Mirror\n")).into_iter().map(|f| f.0).collect()
    }

    #[test]
    fn paths_are_found_where_they_begin() {
        assert_eq!(lines("at /den/ann/x"), [1]);
        assert_eq!(lines("\nHOME=/den/ann\n\"/den/b\""), [2, 3]);
        assert_eq!(lines("file:///den/ann"), [1]);
        assert_eq!(lines("https://example.org/den/page and a/den/b and $X/den/"), [0usize; 0]);
    }

    #[test]
    fn the_folders_of_this_machine_are_looked_for() {
        assert_eq!(own(Path::new("/den/Tree"), Some(OsStr::new("/nest"))), ["/nest/", "/den/tree/"]);
        assert_eq!(own(Path::new("/"), None), [""; 0], "the root folder is everybody's");
    }

    #[test]
    fn words_are_found_anywhere_in_any_case() {
        assert_eq!(lines("x\nhttps://my-private-MIRROR.example"), [2]);
    }

    #[test]
    fn bytes_that_are_not_text_are_looked_through() {
        assert_eq!(find(b"\0\xff \n/den/ann", &words("/den/")), [(1, "/den/".to_owned())]);
    }
}
