//! What a guest says, as it stands in the host's log.

use std::io;
use std::sync::Mutex;

use tracing::Level;

use super::*;

/// Runs a case and gives what was logged meanwhile, a line each.
fn logged(case: &Case) -> (Outcome, Vec<String>) {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    test_guest();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let outcome = tracing::subscriber::with_default(subscriber, || case.run());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (outcome, text.lines().filter(|line| line.contains(" function: ")).map(|line| line.trim().to_owned()).collect())
}

#[test]
fn a_line_has_the_functions_name_its_level_and_its_text() {
    let (_, lines) = logged(&case("log 2"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("INFO function: line 0"), "{}", lines[0]);
    assert!(lines[0].contains(r#"function="tested""#), "{}", lines[0]);
}

#[test]
fn every_level_is_kept_and_critical_is_an_error() {
    let (_, lines) = logged(&case("log-levels hello"));
    let levels: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "ERROR"]);
}

#[test]
fn a_flood_of_lines_is_cut_off_and_counted() {
    let (outcome, lines) = logged(&case("log 5000"));
    completed(outcome);
    assert_eq!(lines.len(), 65);
    assert!(lines[63].contains("line 63"), "{}", lines[63]);
    assert!(lines[64].contains("lines were left out") && lines[64].contains("lines=4936"), "{}", lines[64]);
}

#[test]
fn a_long_line_is_cut() {
    let (outcome, lines) = logged(&case("log-size 5000000"));
    completed(outcome);
    assert!((8192..8500).contains(&lines[0].len()), "{}", lines[0].len());
    assert!(lines[0].contains('…'));
}

#[test]
fn control_characters_are_shown_escaped() {
    let (_, lines) = logged(&case("log-levels a\u{1b}[31mred\u{7}"));
    assert!(lines[0].contains("a\\u{1b}[31mred\\u{7}"), "{}", lines[0]);
}

#[test]
fn ten_megabytes_on_stdout_are_shown_in_part_and_fail_nothing() {
    let (outcome, lines) = logged(&case("print 10000000; emit out done"));
    assert_eq!(report(outcome), "done");
    let shown: usize = lines.iter().map(String::len).sum();
    assert!((60_000..200_000).contains(&shown), "{shown}");
    assert!(lines[0].starts_with("DEBUG function: ") && lines[0].contains(r#"stream="stdout""#), "{}", lines[0]);
    assert!(lines.last().unwrap().contains("left out"), "{:?}", lines.last());
}

#[test]
fn stderr_is_shown_as_well_and_no_line_runs_into_the_next() {
    let (outcome, lines) = logged(&case("eprint 250"));
    completed(outcome);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(r#"stream="stderr""#)), "{lines:?}");
}
