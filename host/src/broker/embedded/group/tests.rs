//! Members come, go, fall silent and restart.

use proptest::prelude::*;

use super::*;

const SILENCE_MAX: Duration = Duration::from_secs(60);

fn four(_: &str) -> i32 {
    4
}

fn partitions(numbers: impl IntoIterator<Item = i32>) -> Vec<Partition> {
    numbers.into_iter().map(|number| Partition::new("t", number)).collect()
}

/// A group and the time in it.
struct Table {
    group: Group,
    now: Instant,
}

impl Table {
    fn new() -> Self {
        Self { group: Group::default(), now: Instant::now() }
    }

    fn sit(&mut self, name: &str, ticket: u64, is_stable: bool) {
        let sitting = Sitting {
            name: name.to_owned(),
            ticket,
            is_stable,
            topics: BTreeSet::from(["t".into()]),
            silence_max: SILENCE_MAX,
            bell: Arc::default(),
        };
        self.group.sit(sitting, self.now, &four);
    }

    /// One poll, as a membership makes it.
    fn poll(&mut self, name: &str, ticket: u64) -> Turn {
        self.group.begin_poll(name, ticket);
        self.group.expire(self.now, &four);
        let turn = self.group.turn(name, ticket, &four);
        if let Turn::Take(taken) = &turn {
            assert!(self.group.taken(name, ticket, taken));
        }
        self.group.end_poll(name, ticket, self.now);
        turn
    }

    fn standing(&self, name: &str, ticket: u64, numbers: impl IntoIterator<Item = i32>) -> Standing {
        self.group.standing(name, ticket, partitions(numbers).iter())
    }

    fn rise(&mut self, name: &str, ticket: u64) {
        self.group.rise(name, ticket, self.now, &four);
    }
}

#[test]
fn a_second_member_waits_until_the_first_has_let_go() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..4)));
    assert_eq!(table.poll("a", 1), Turn::Work);
    table.sit("b", 2, false);
    assert_eq!(table.poll("b", 2), Turn::Wait);
    // It is at work, and what it works on is still its own.
    assert_eq!(table.standing("a", 1, 0..4), Standing::Owns);
    assert_eq!(table.poll("a", 1), Turn::LetGo(partitions(0..4)));
    assert_eq!(table.standing("a", 1, 0..1), Standing::Moved);
    assert_eq!(table.poll("b", 2), Turn::Take(partitions(2..4)));
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..2)));
    assert_eq!((table.standing("a", 1, 0..2), table.standing("a", 1, 1..3)), (Standing::Owns, Standing::Moved));
}

#[test]
fn a_member_that_leaves_hands_over_at_once() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    table.sit("b", 2, false);
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Turn::Take(partitions(0..2)), Turn::Take(partitions(2..4))));
    table.rise("a", 1);
    assert_eq!(table.poll("b", 2), Turn::LetGo(partitions(2..4)));
    assert_eq!(table.poll("b", 2), Turn::Take(partitions(0..4)));
}

#[test]
fn a_silent_member_loses_its_seat_only_after_its_time() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..4)));
    table.sit("b", 2, false);
    table.now += SILENCE_MAX;
    assert_eq!(table.poll("b", 2), Turn::Wait);
    assert_eq!(table.group.deadline(), Some(table.now));
    table.now += Duration::from_millis(1);
    assert_eq!(table.poll("b", 2), Turn::Take(partitions(0..4)));
    assert_eq!(table.standing("a", 1, 0..1), Standing::Moved);
    assert_eq!(table.poll("a", 1), Turn::Expelled);
}

#[test]
fn a_member_that_waits_in_a_poll_is_not_silent() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..4)));
    table.group.begin_poll("a", 1);
    table.now += SILENCE_MAX * 3;
    table.group.expire(table.now, &four);
    assert_eq!(table.standing("a", 1, 0..4), Standing::Owns);
    assert_eq!(table.group.deadline(), None);
}

#[test]
fn a_stable_member_that_restarts_has_its_own_back_and_moves_nothing() {
    let mut table = Table::new();
    table.sit("a", 1, true);
    table.sit("b", 2, false);
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Turn::Take(partitions(0..2)), Turn::Take(partitions(2..4))));
    table.rise("a", 1);
    table.now += SESSION;
    assert_eq!(table.poll("b", 2), Turn::Work);
    table.sit("a", 3, true);
    assert_eq!(table.poll("a", 3), Turn::Take(partitions(0..2)));
    assert_eq!(table.poll("b", 2), Turn::Work);
}

#[test]
fn a_stable_member_that_stays_away_is_given_up() {
    let mut table = Table::new();
    table.sit("a", 1, true);
    table.sit("b", 2, false);
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Turn::Take(partitions(0..2)), Turn::Take(partitions(2..4))));
    table.rise("a", 1);
    table.now += SESSION + Duration::from_millis(1);
    assert_eq!(table.poll("b", 2), Turn::LetGo(partitions(2..4)));
    assert_eq!(table.poll("b", 2), Turn::Take(partitions(0..4)));
}

#[test]
fn a_stable_name_that_is_taken_again_fences_its_holder_at_once() {
    let mut table = Table::new();
    table.sit("a", 1, true);
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..4)));
    table.sit("a", 2, true);
    assert_eq!(table.standing("a", 1, 0..1), Standing::Fenced);
    assert_eq!(table.poll("a", 1), Turn::Fenced);
    assert_eq!(table.poll("a", 2), Turn::Take(partitions(0..4)));
    table.rise("a", 1);
    assert_eq!(table.poll("a", 2), Turn::Work, "the dead one's leaving is nothing to it");
}

#[test]
fn more_partitions_are_shared_out_anew() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Turn::Take(partitions(0..4)));
    table.group.topic_changed("another", &four);
    assert_eq!(table.poll("a", 1), Turn::Work);
    table.group.topic_changed("t", &|_| 6);
    assert_eq!(table.group.turn("a", 1, &|_| 6), Turn::LetGo(partitions(0..4)));
    assert_eq!(table.group.turn("a", 1, &|_| 6), Turn::Take(partitions(0..6)));
}

#[test]
fn ranges_are_runs_and_equal_numbers_lie_together() {
    let (one, two) = (BTreeSet::from(["one".into(), "two".into()]), BTreeSet::from(["one".into()]));
    let members = BTreeMap::from([("a", &one), ("b", &two), ("c", &one)]);
    let shares = range(&members, &|topic| if topic == "one" { 7 } else { 3 });
    let numbers = |name: &str, topic: &str| -> Vec<i32> {
        shares[name].iter().filter(|p| &*p.topic == topic).map(|p| p.number).collect()
    };
    assert_eq!(
        [numbers("a", "one"), numbers("b", "one"), numbers("c", "one")],
        [vec![0, 1, 2], vec![3, 4], vec![5, 6]]
    );
    assert_eq!([numbers("a", "two"), numbers("b", "two"), numbers("c", "two")], [vec![0, 1], vec![], vec![2]]);
}

#[derive(Clone, Debug)]
enum Step {
    Sit(u8, bool),
    Rise(u8),
    Poll(u8),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..4_u8, any::<bool>()).prop_map(|(name, is_stable)| Step::Sit(name, is_stable)),
        1 => (0..4_u8).prop_map(Step::Rise),
        4 => (0..4_u8).prop_map(Step::Poll),
        1 => (0..80_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens, no partition has two owners, and once all have polled often enough every partition has one.
    #[test]
    fn no_partition_ever_has_two_owners_and_none_is_left(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut table = Table::new();
        let mut tickets: BTreeMap<u8, u64> = BTreeMap::new();
        let mut next = 0;
        let owners = |table: &Table| -> Vec<Partition> {
            let owned = table.group.seats.values().filter_map(|seat| match &seat.hold {
                Hold::Owned(owned) => Some(owned.iter().cloned()),
                _ => None,
            });
            owned.flatten().collect()
        };
        for step in steps {
            match step {
                Step::Sit(name, is_stable) => {
                    next += 1;
                    tickets.insert(name, next);
                    table.sit(&name.to_string(), next, is_stable);
                }
                Step::Rise(name) => {
                    if let Some(ticket) = tickets.remove(&name) {
                        table.rise(&name.to_string(), ticket);
                    }
                }
                Step::Poll(name) => {
                    if let Some(ticket) = tickets.get(&name) {
                        table.poll(&name.to_string(), *ticket);
                    }
                }
                Step::Pass(seconds) => table.now += Duration::from_secs(seconds),
            }
            let mut owned = owners(&table);
            let all = owned.len();
            owned.sort();
            owned.dedup();
            prop_assert_eq!(owned.len(), all);
        }
        // Who is gone for good is given up; who is there has a seat, or takes a new one.
        table.now += SESSION * 2;
        tickets.keys().for_each(|name| table.group.end_poll(&name.to_string(), tickets[name], table.now));
        for _ in 0..3 {
            for (name, ticket) in &mut tickets {
                if table.poll(&name.to_string(), *ticket) == Turn::Expelled {
                    next += 1;
                    *ticket = next;
                    table.sit(&name.to_string(), next, false);
                }
            }
        }
        prop_assert_eq!(owners(&table).len(), if tickets.is_empty() { 0 } else { 4 });
    }
}
