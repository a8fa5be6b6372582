//! The demo, as a newcomer runs it.

use std::process::{Command, Stdio};

use super::world::{FNHOST, World, bounded, fulfilment};

/// Runs the demo with `TMPDIR` in a folder of its own: exit code, stdout, stderr, and what it left there.
fn demo(more: &[&str]) -> (Option<i32>, String, String, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(FNHOST);
    command.arg("demo").arg(fulfilment()).args(more).env("TMPDIR", folder.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    let output = bounded(&pid, || child.wait_with_output().unwrap());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    (output.status.code(), text(&output.stdout), text(&output.stderr), left)
}

fn assert_everything_came_out(out: &str) {
    for line in [
        "placed                         12",
        "refused at the door             1",
        "shipped                         9",
        "duplicates without effect       1",
        "error events                    1",
    ] {
        assert!(out.lines().any(|printed| printed == line), "no line `{line}` in\n{out}");
    }
    assert!(out.contains("error event: rejected, product P-9999 is not in the catalogue"), "{out}");
    assert!(out.contains("422 /products/0/quantity: 0 is less than the minimum of 1"), "{out}");
    assert_eq!(
        out.lines().filter(|line| line.contains("shipper") && line.contains("applied -> notification")).count(),
        9
    );
}

#[test]
fn the_demo_ships_nine_of_a_dozen_orders_says_what_became_of_the_others_and_leaves_nothing_behind() {
    let (code, out, err, left) = demo(&[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_everything_came_out(&out);
    assert!(err.contains("everything came out as it must"), "{err}");
    assert_eq!(left, 0, "it left files behind");
}

#[test]
fn the_demo_runs_on_a_kafka_too() {
    let Some(world) = World::bare(fulfilment()) else { return };
    for _ in 0..2 {
        let (code, out, err, _) = demo(&["--brokers", &world.kafka().brokers]);
        assert_eq!(code, Some(0), "{out}{err}");
        assert_everything_came_out(&out);
    }
}

#[test]
fn a_demo_of_another_app_fails_and_says_what_did_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"other\"\n[topics.in]\n";
    std::fs::write(folder.path().join("app.toml"), text).unwrap();
    let (code, _, err, _) = demo(&[]);
    assert_eq!(code, Some(0), "{err}");
    let output = Command::new(FNHOST).arg("demo").arg(folder.path()).stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("error: "), "{err}");
}
