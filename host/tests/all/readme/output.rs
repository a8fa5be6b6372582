//! What the README shows of an output, held against an output.

use regex::Regex;

/// What is another each time.
const OTHER_EACH_TIME: &[(&str, &str)] = &[
    ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    ("[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}", "TIME"),
    ("demo-[0-9a-f]{4}-", "demo-RUN-"),
    ("(127[.]0[.]0[.]1|localhost):[0-9]+", "ADDRESS"),
    ("\"(partition|offset)\":[0-9]+", "\"$1\":N"),
    ("(^|[ (])[0-9a-f]{7}([ :),]|$)", "${1}VERSION$2"),
    ("[0-9]+([.][0-9]+)? (ms|s)([ ,;]|$)", "N $2$3"),
    (" +", " "),
];

fn masked(text: &str) -> String {
    let line = |line: &str| {
        let mask = |line: String, (pattern, with): &(&str, &str)| {
            Regex::new(pattern).unwrap().replace_all(&line, *with).into_owned()
        };
        format!("{}\n", OTHER_EACH_TIME.iter().fold(line.trim_end().to_owned(), mask))
    };
    text.lines().map(line).collect()
}

/// Whether `printed` is what was shown. `…` stands for any text, and on a line of its own for any lines.
fn is_like(shown: &str, printed: &str) -> bool {
    let pattern = |line: &str| match line {
        "…" => "(.*\n)*?".to_owned(),
        line => {
            let parts: Vec<String> = line.split('…').map(regex::escape).collect();
            parts.join(".*") + "\n"
        }
    };
    let pattern: String = masked(shown).lines().map(pattern).collect();
    Regex::new(&format!("^{pattern}$")).unwrap().is_match(&masked(printed))
}

/// # Panics
/// When something else was printed than shown.
pub(super) fn check(shown: &str, printed: &str) {
    assert!(is_like(shown, printed), "the README shows\n\n{}\nand what came is\n\n{}", masked(shown), masked(printed));
}

#[test]
fn only_what_is_another_each_time_may_differ() {
    let shown = "a 12:00:00.000  x\n…\nplaced   12\n{\"id\":\"0199b3c4-5e01-7a10-8c2d-4f6e8a9b0001\",…}\nin 0.1 s\n";
    let same = "a 13:01:02.003 x\nmore\nand more\nplaced 12\n{\"id\":\"1f728cd1-3df9-58f4-8b22-6365b71367eb\",\"b\":1}\nin 22.5 s\n";
    assert!(is_like(shown, same));
    assert!(is_like("greeter 3ab2fbe: applied", "greeter 9aa25b0: applied"));
    assert!(is_like("a\n…\n", "a\n") && !is_like("a\n", "a\nb\n"));
    assert!(!is_like(shown, &same.replace("placed 12", "placed 11")));
    assert!(!is_like("HTTP/1.1 202 Accepted", "HTTP/1.1 422 Accepted"));
}
