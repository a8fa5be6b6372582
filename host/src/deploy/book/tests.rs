//! Changes of a book, one by one and at random.

use super::*;
use proptest::prelude::*;

fn candidate(byte: u8) -> Candidate {
    let (digest, note) = (Digest([byte; 32]), format!("note {byte}"));
    Candidate { digest, bytes: u64::from(byte), note, state_format: Some("1".into()) }
}

fn module(byte: u8) -> Module {
    Module { bytes: u64::from(byte), first: Offset::from(byte) }
}

/// A book in which `bytes` were deployed one after the other, over the component 0 that the app came with.
fn book(bytes: &[u8]) -> Book {
    let mut book = Book::default();
    for byte in bytes {
        let own = Some((candidate(0), module(0)));
        let change = book.deploy("f", candidate(*byte), module(*byte), own, 1).unwrap();
        book.enter(change.deployment);
    }
    book
}

fn digests(deployment: &Deployment) -> Vec<u8> {
    deployment.versions.iter().map(|version| version.digest.0[0]).collect()
}

fn active(book: &Book) -> Option<u8> {
    book.function("f").and_then(|deployment| deployment.active).map(|digest| digest.0[0])
}

#[test]
fn the_first_deployment_keeps_what_ran_before_it() {
    let book = book(&[1]);
    assert_eq!((book.number(), active(&book)), (1, Some(1)));
    assert_eq!(digests(book.function("f").unwrap()), [1, 0]);
    assert_eq!(book.rollback("f", None).unwrap().deployment.active, Some(Digest([0; 32])));
}

#[test]
fn what_is_active_is_not_deployed_again() {
    let book = book(&[1]);
    assert_eq!(book.deploy("f", candidate(1), module(1), None, 1), Err(Refusal::Active(Digest([1; 32]))));
    let own = Some((candidate(0), module(0)));
    let first = Book::default().deploy("f", candidate(0), module(0), own, 1);
    assert_eq!(first, Err(Refusal::Active(Digest([0; 32]))));
}

#[test]
fn a_rollback_goes_to_the_version_that_was_active_before_and_back_again() {
    let mut book = book(&[1, 2, 3]);
    book.enter(book.rollback("f", None).unwrap().deployment);
    assert_eq!((active(&book), digests(book.function("f").unwrap())), (Some(2), vec![2, 3, 1, 0]));
    book.enter(book.rollback("f", None).unwrap().deployment);
    assert_eq!(active(&book), Some(3));
}

#[test]
fn a_rollback_goes_to_the_version_that_is_named_by_its_first_digits() {
    let book = book(&[1, 0x12]);
    let to = |digits: &str| book.rollback("f", Some(digits)).map(|change| change.deployment.active.unwrap().0[0]);
    assert_eq!(to("0101"), Ok(1));
    assert_eq!(to("sha256:00"), Ok(0));
    assert_eq!(to("0"), Err(Refusal::Ambiguous { function: "f".into(), digest: "0".into() }));
    assert_eq!(to("ff"), Err(Refusal::UnknownVersion { function: "f".into(), digest: "ff".into() }));
    assert_eq!(to(""), Err(Refusal::UnknownVersion { function: "f".into(), digest: String::new() }));
    assert_eq!(to("12"), Err(Refusal::Active(Digest([0x12; 32]))));
}

#[test]
fn a_version_that_failed_is_left_and_not_gone_back_to() {
    let mut book = book(&[1, 2]);
    book.enter(book.fail("f", Digest([2; 32]), "it traps").unwrap().deployment);
    assert_eq!(active(&book), Some(1));
    let failed = book.function("f").unwrap().versions[1].failed.clone();
    assert_eq!(failed.as_deref(), Some("it traps"));
    assert_eq!(book.fail("f", Digest([2; 32]), "again"), Err(Refusal::Failed(Digest([2; 32]))));
    book.enter(book.fail("f", Digest([1; 32]), "so does this").unwrap().deployment);
    assert_eq!(active(&book), Some(0));
    assert_eq!(book.rollback("f", None), Err(Refusal::NothingBefore("f".into())));
    assert_eq!(book.rollback("f", Some("02")).unwrap().deployment.versions[0].failed, None, "somebody insists");
}

#[test]
fn a_candidate_is_beside_the_active_version_until_it_is_that_itself_or_is_taken_away() {
    let mut book = book(&[1]);
    let shadowed = |book: &Book, byte| book.shadow("f", candidate(byte), module(byte), Some(Digest([0; 32])), 1);
    book.enter(shadowed(&book, 2).unwrap().deployment);
    assert_eq!((active(&book), book.shadow_of("f").unwrap().digest), (Some(1), Digest([2; 32])));
    assert_eq!(book.module(Digest([2; 32])), Some(module(2)));
    // Another one takes its place, and a version that is active needs nothing beside it.
    let change = shadowed(&book, 3).unwrap();
    assert_eq!(change.dropped.into_keys().collect::<Vec<_>>(), [Digest([2; 32])]);
    book.enter(change.deployment);
    assert_eq!(shadowed(&book, 1), Err(Refusal::Active(Digest([1; 32]))));
    // It stays beside whatever else becomes active.
    book.enter(book.rollback("f", None).unwrap().deployment);
    assert_eq!((active(&book), book.shadow_of("f").unwrap().digest), (Some(0), Digest([3; 32])));
    let change = book.deploy("f", candidate(3), module(3), None, 1).unwrap();
    assert_eq!(change.dropped.len(), 0);
    book.enter(change.deployment);
    assert_eq!(book.shadow_of("f"), Err(Refusal::NoShadow("f".into())));
    assert_eq!(book.discard("f", "03"), Err(Refusal::NoShadow("f".into())));
    book.enter(shadowed(&book, 4).unwrap().deployment);
    assert!(matches!(book.discard("f", "03"), Err(Refusal::OtherShadow { candidate, .. }) if candidate.0[0] == 4));
    let change = book.discard("f", "0404").unwrap();
    assert_eq!(change.dropped.into_keys().collect::<Vec<_>>(), [Digest([4; 32])]);
    book.enter(change.deployment);
    assert_eq!((active(&book), book.shadow_of("f").is_err()), (Some(3), true));
}

#[test]
fn a_candidate_beside_the_component_that_the_app_came_with_leaves_that_active() {
    let mut book = Book::default();
    let own = Some(Digest([0; 32]));
    assert_eq!(book.shadow("f", candidate(0), module(0), own, 1), Err(Refusal::Active(Digest([0; 32]))));
    book.enter(book.shadow("f", candidate(1), module(1), own, 1).unwrap().deployment);
    assert_eq!((active(&book), book.number()), (None, 1));
    let change = book.deploy("f", candidate(1), module(1), Some((candidate(0), module(0))), 1).unwrap();
    book.enter(change.deployment);
    assert_eq!(digests(book.function("f").unwrap()), [1, 0]);
}

#[test]
fn a_change_is_numbered_above_all_that_was_seen() {
    let book = book(&[1]).numbered_after(7);
    assert_eq!(book.rollback("f", None).unwrap().deployment.number, 8);
    assert_eq!(book.numbered_after(3).number(), 7);
}

#[test]
fn only_a_deployment_brings_a_version_and_no_rollback_does() {
    let mut book = book(&[1, 2]);
    let brought = |book: &Book| {
        let deployment = book.function("f").unwrap();
        deployment.versions[0].number == deployment.number
    };
    assert!(brought(&book));
    book.enter(book.rollback("f", None).unwrap().deployment);
    assert!(!brought(&book));
}

#[test]
fn a_function_that_was_removed_runs_what_the_app_came_with() {
    let mut book = book(&[1, 2]);
    let change = book.remove("f").unwrap();
    assert_eq!(change.dropped.keys().map(|digest| digest.0[0]).collect::<Vec<_>>(), [0, 1, 2]);
    book.enter(change.deployment);
    assert_eq!((active(&book), book.number()), (None, 3));
    assert_eq!(book.remove("f"), Err(Refusal::NeverDeployed("f".into())));
}

proptest! {
    #[test]
    fn whatever_happens_every_version_that_is_kept_has_its_module_and_numbers_go_up(
        steps in prop::collection::vec((0_u8..6, 0_u8..2, 1_u8..20), 0..60),
    ) {
        let (mut book, mut stored) = (Book::default(), BTreeSet::new());
        for (what, function, byte) in steps {
            let function = ["f", "g"][usize::from(function)];
            let change = match what {
                0 | 1 => book.deploy(function, candidate(byte), module(byte), Some((candidate(0), module(0))), 1),
                2 => book.rollback(function, None),
                3 => book.shadow(function, candidate(byte), module(byte), Some(Digest([0; 32])), 1),
                4 => book.discard(function, &Digest([byte; 32]).hex()),
                _ => book.fail(function, Digest([byte; 32]), "why"),
            };
            let Ok(change) = change else { continue };
            prop_assert_eq!(change.deployment.number, book.number() + 1);
            stored.extend(change.deployment.kept().map(|version| version.digest));
            for dropped in change.dropped.keys() {
                prop_assert!(stored.remove(dropped), "{} was dropped twice", dropped);
            }
            book.enter(change.deployment);
            let kept: BTreeSet<Digest> =
                book.functions().flat_map(Deployment::kept).map(|version| version.digest).collect();
            prop_assert_eq!(&kept, &stored);
            for deployment in book.functions() {
                prop_assert!(deployment.versions.len() <= VERSIONS_MAX);
                prop_assert_eq!(deployment.versions.first().map(|version| version.digest), deployment.active);
            }
        }
    }
}
