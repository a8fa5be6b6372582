//! What is found again, and what a file is refused for.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::{Broker, Error, Polled, Position, Transaction};
use fnhost::event::Partition;

use super::{Place, create, member, publish, raw, replay, told};
use crate::conformance::values;
use crate::kafka::eventually;

#[test]
fn everything_is_there_after_a_restart() {
    let place = Place::new();
    let broker = place.open();
    create(&broker, "t", 2, &[("retention.ms", "1234567"), ("min.insync.replicas", "2")]);
    publish(&broker, "t", &["a".to_owned(), "b".to_owned()]);
    let member = member("g", &["t"]);
    let mut membership = broker.join(&member).unwrap();
    let position = Position { next: Some(1), note: "deployment 7".to_owned() };
    let partition = Partition::new("t", 0);
    eventually("its partitions", || {
        matches!(membership.poll(Duration::from_secs(1)).unwrap(), Polled::Assigned(_)).then_some(())
    });
    let positions = BTreeMap::from([(partition.clone(), position.clone())]);
    membership.commit(&Transaction::new(positions, Vec::new()).unwrap()).unwrap();
    let (topics, before) = (broker.topics(&["t"]).unwrap(), replay(&broker, "t"));
    drop(membership);
    drop(broker);

    let broker = place.open();
    assert_eq!((broker.topics(&["t"]).unwrap(), replay(&broker, "t")), (topics, before));
    let mut membership = broker.join(&member).unwrap();
    let assigned = eventually("its partitions", || match membership.poll(Duration::from_secs(1)).unwrap() {
        Polled::Assigned(assigned) => Some(assigned),
        _ => None,
    });
    assert_eq!(assigned[&partition], position);
    publish(&broker, "t", &["c".to_owned()]);
    assert_eq!(values(&replay(&broker, "t").0), ["a", "b", "c"]);
    create(&broker, "u", 1, &[]);
    publish(&broker, "u", &["of another topic".to_owned()]);
    assert_eq!(replay(&broker, "t").1, 3, "its id is its own");
}

#[test]
fn a_folder_that_is_missing_is_made() {
    let place = Place::new();
    let path = place.folder.path().join("a/b/broker.redb");
    drop(Embedded::open(&path, &Options::default()).unwrap());
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["broker.redb"]);
}

#[test]
fn a_temporary_broker_leaves_nothing_behind() {
    let before = fs::read_dir(std::env::temp_dir()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let broker = Embedded::temporary(&Options::default()).unwrap();
    create(&broker, "t", 1, &[]);
    publish(&broker, "t", &["a".to_owned()]);
    assert_eq!(values(&replay(&broker, "t").0), ["a"]);
    let after = fs::read_dir(std::env::temp_dir()).unwrap().map(|e| e.unwrap().file_name());
    let new: Vec<_> = after.filter(|name| !before.contains(name) && name.to_string_lossy().contains("redb")).collect();
    assert_eq!(new, [""; 0]);
}

#[test]
fn a_file_is_free_again_when_the_broker_is_dropped_whoever_still_holds_on_to_it() {
    let place = Place::closed(1);
    let broker = place.open();
    let mut membership = broker.join(&member("g", &["t"])).unwrap();
    let mut writer = broker.exclusive("w").unwrap();
    let mut begun = broker.replay(&Partition::new("t", 0), 0).unwrap();
    let publisher = broker.publisher().unwrap();
    drop(broker);
    let again = place.open();
    assert!(matches!(membership.poll(Duration::from_secs(1)), Err(Error::Away { .. })));
    assert!(matches!(writer.write(&[]), Err(Error::Away { .. })));
    assert!(matches!(begun.next(Duration::from_secs(1)), Err(Error::Away { .. })));
    assert!(!publisher.is_reachable());
    assert_eq!(replay(&again, "t").1, 1);
}

/// Also while its threads have only just begun. Otherwise this would take hours.
#[test]
fn a_broker_that_is_dropped_is_gone_at_once() {
    let options = Options { upkeep_every: Duration::from_secs(3600), ..Options::default() };
    for _ in 0..100 {
        drop(Embedded::temporary(&options).unwrap());
    }
}

#[test]
fn a_file_in_use_is_refused() {
    let place = Place::closed(1);
    let broker = place.open();
    let path = place.path();
    let shown = path.display();
    assert_eq!(
        told(&path),
        (
            format!("{shown} is in use by another process"),
            format!("stop the other fnhost (`fuser {shown}` tells its process id), or name another file")
        )
    );
    assert_eq!(replay(&broker, "t").1, 1, "the first is none the worse");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::closed(1);
    let path = place.path();
    raw::set_format(&path, 2);
    let shown = path.display();
    assert_eq!(
        told(&path),
        (
            format!("{shown} was written by a newer fnhost: it has format 2, this fnhost knows 1"),
            format!("use the newer fnhost again, or begin with an empty file: mv {shown} {shown}.newer")
        )
    );
    raw::set_format(&path, 1);
    assert_eq!(replay(&place.open(), "t").1, 1);
}

#[test]
fn what_is_not_our_file_is_refused_and_left_alone() {
    for content in ["", "a", "a file of somebody else\n", &"x".repeat(100_000)] {
        let place = Place::new();
        fs::write(place.path(), content).unwrap();
        let (error, hint) = told(&place.path());
        assert!(error.ends_with("is not a file of the embedded broker, or its beginning is overwritten"), "{error}");
        assert!(hint.starts_with("name another file, or move this one away: mv "), "{hint}");
        assert_eq!(fs::read_to_string(place.path()).unwrap(), content);
    }
    // redb's, and not ours.
    let place = Place::new();
    let database = redb::Database::create(place.path()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<u64, u64>::new("meta")).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(told(&place.path()).0.contains("is not a file of the embedded broker"));
}

#[test]
fn a_file_that_was_cut_short_is_said_to_be_damaged() {
    let place = Place::closed(2000);
    let whole = fs::read(place.path()).unwrap();
    for share in [1, 3, 5, 7, 9] {
        fs::write(place.path(), &whole[..whole.len() * share / 10]).unwrap();
        let (error, hint) = told(&place.path());
        assert!(error.ends_with(" is damaged"), "{share} tenths: {error}");
        assert!(hint.starts_with("bring back a copy of it, or begin with an empty file: mv "), "{hint}");
    }
    fs::write(place.path(), &whole).unwrap();
    assert_eq!(replay(&place.open(), "t").1, 2000);
}

#[test]
fn a_file_that_was_overwritten_somewhere_is_said_to_be_damaged() {
    let place = Place::closed(2000);
    let whole = fs::read(place.path()).unwrap();
    let mut value = [b'0'; 500];
    value[496..].copy_from_slice(b"1234");
    let at = whole.windows(500).position(|window| window == value).expect("the values lie in the file as they are");
    let mut garbled = whole.clone();
    garbled[at + 100] ^= 1;
    fs::write(place.path(), &garbled).unwrap();
    let (error, _) = told(&place.path());
    assert!(error.ends_with(" is damaged"), "{error}");
    // Told again: it is not mended in silence either.
    assert_eq!(told(&place.path()).0, error);
    fs::write(place.path(), &whole).unwrap();
    assert_eq!(replay(&place.open(), "t").1, 2000);
}

#[test]
fn a_folder_where_nothing_can_be_written_is_said_so() {
    let place = Place::new();
    fs::write(place.folder.path().join("file"), "").unwrap();
    let below = place.folder.path().join("file/broker.redb");
    let (error, hint) = told(&below);
    assert!(error.contains("/file") && error.contains("cannot be"), "{error}");
    assert!(hint.starts_with("a file is where a folder should be: look at "), "{hint}");

    let (error, hint) = told(place.folder.path());
    assert!(error.ends_with("cannot be opened for writing"), "{error}");
    assert!(hint.starts_with("name a file, such as ") && hint.ends_with("/broker.redb"), "{hint}");
}

/// Not even root may make a file there.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_may_not_be_written_to_is_said_so() {
    let (error, hint) = told(std::path::Path::new("/sys/broker.redb"));
    assert_eq!(error, "/sys cannot be written to");
    assert_eq!(hint, "let the user who runs fnhost write there, or name a file in another folder: ls -ld /sys");
}
