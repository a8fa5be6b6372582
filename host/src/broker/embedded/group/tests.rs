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

/// A [`Turn`] without numbers.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Fenced,
    Expelled,
    LetGo(Vec<Partition>),
    Take(Vec<Partition>),
    Work,
    Wait,
}

impl Told {
    fn of(turn: Turn) -> Self {
        match turn {
            Turn::Fenced => Self::Fenced,
            Turn::Expelled => Self::Expelled,
            Turn::LetGo(partitions) => Self::LetGo(partitions),
            Turn::Take(given) => Self::Take(given.partitions.into_iter().collect()),
            Turn::Work => Self::Work,
            Turn::Wait => Self::Wait,
        }
    }
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
        self.sit_of(name, ticket, is_stable, &four);
    }

    fn sit_of(&mut self, name: &str, ticket: u64, is_stable: bool, counts: Counts<'_>) {
        let sitting = Sitting {
            name: name.to_owned(),
            ticket,
            is_stable,
            topics: BTreeSet::from(["t".into()]),
            silence_max: SILENCE_MAX,
            bell: Arc::default(),
        };
        self.group.sit(sitting, self.now, counts);
    }

    /// One poll, as a membership makes it.
    fn poll(&mut self, name: &str, ticket: u64) -> Told {
        self.group.begin_poll(name, ticket);
        self.group.expire(self.now, &four);
        let turn = self.group.turn(name, ticket, &four);
        if let Turn::Take(given) = &turn {
            assert!(self.group.taken(name, ticket, given.number));
        }
        self.group.end_poll(name, ticket, self.now);
        Told::of(turn)
    }

    /// What it is told to do when it polls.
    fn turn(&mut self, name: &str, ticket: u64, counts: Counts<'_>) -> Told {
        Told::of(self.group.turn(name, ticket, counts))
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
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..4)));
    assert_eq!(table.poll("a", 1), Told::Work);
    table.sit("b", 2, false);
    assert_eq!(table.poll("b", 2), Told::Wait);
    // It is at work, and what it works on is still its own.
    assert_eq!(table.standing("a", 1, 0..4), Standing::Owns);
    assert_eq!(table.poll("a", 1), Told::LetGo(partitions(0..4)));
    assert_eq!(table.standing("a", 1, 0..1), Standing::Moved);
    assert_eq!(table.poll("b", 2), Told::Take(partitions(2..4)));
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..2)));
    assert_eq!((table.standing("a", 1, 0..2), table.standing("a", 1, 1..3)), (Standing::Owns, Standing::Moved));
}

#[test]
fn a_member_that_leaves_hands_over_at_once() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    table.sit("b", 2, false);
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Told::Take(partitions(0..2)), Told::Take(partitions(2..4))));
    table.rise("a", 1);
    assert_eq!(table.poll("b", 2), Told::LetGo(partitions(2..4)));
    assert_eq!(table.poll("b", 2), Told::Take(partitions(0..4)));
}

#[test]
fn a_silent_member_loses_its_seat_only_after_its_time() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..4)));
    table.sit("b", 2, false);
    table.now += SILENCE_MAX;
    assert_eq!(table.poll("b", 2), Told::Wait);
    assert_eq!(table.group.deadline(), Some(table.now));
    table.now += Duration::from_millis(1);
    assert_eq!(table.poll("b", 2), Told::Take(partitions(0..4)));
    assert_eq!(table.standing("a", 1, 0..1), Standing::Moved);
    assert_eq!(table.poll("a", 1), Told::Expelled);
}

#[test]
fn a_member_that_waits_in_a_poll_is_not_silent() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..4)));
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
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Told::Take(partitions(0..2)), Told::Take(partitions(2..4))));
    table.rise("a", 1);
    table.now += SESSION;
    assert_eq!(table.poll("b", 2), Told::Work);
    table.sit("a", 3, true);
    assert_eq!(table.poll("a", 3), Told::Take(partitions(0..2)));
    assert_eq!(table.poll("b", 2), Told::Work);
}

#[test]
fn a_stable_member_that_stays_away_is_given_up() {
    let mut table = Table::new();
    table.sit("a", 1, true);
    table.sit("b", 2, false);
    assert_eq!((table.poll("a", 1), table.poll("b", 2)), (Told::Take(partitions(0..2)), Told::Take(partitions(2..4))));
    table.rise("a", 1);
    table.now += SESSION + Duration::from_millis(1);
    assert_eq!(table.poll("b", 2), Told::LetGo(partitions(2..4)));
    assert_eq!(table.poll("b", 2), Told::Take(partitions(0..4)));
}

#[test]
fn a_stable_name_that_is_taken_again_fences_its_holder_at_once() {
    let mut table = Table::new();
    table.sit("a", 1, true);
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..4)));
    table.sit("a", 2, true);
    assert_eq!(table.standing("a", 1, 0..1), Standing::Fenced);
    assert_eq!(table.poll("a", 1), Told::Fenced);
    assert_eq!(table.poll("a", 2), Told::Take(partitions(0..4)));
    table.rise("a", 1);
    assert_eq!(table.poll("a", 2), Told::Work, "the dead one's leaving is nothing to it");
}

/// What it knows of its partitions may be older than what their owner in between did.
#[test]
fn what_was_given_and_given_again_in_between_is_not_taken() {
    let mut table = Table::new();
    table.sit_of("b", 1, false, &|_| 1);
    table.group.begin_poll("b", 1);
    let Turn::Take(slow) = table.group.turn("b", 1, &|_| 1) else { panic!("it is alone") };
    // Another has the only partition for a while.
    table.sit_of("a", 2, false, &|_| 1);
    let Turn::Take(between) = table.group.turn("a", 2, &|_| 1) else { panic!("it is before it") };
    assert_eq!(table.group.taking("b", 1, slow.number), Standing::Moved);
    assert!(table.group.taken("a", 2, between.number));
    table.group.rise("a", 2, table.now, &|_| 1);
    let Turn::Take(again) = table.group.turn("b", 1, &|_| 1) else { panic!("it is alone") };
    assert_eq!(again.partitions, slow.partitions);
    assert_eq!(table.group.taking("b", 1, slow.number), Standing::Moved);
    assert!(!table.group.taken("b", 1, slow.number));
    assert!(table.group.taken("b", 1, again.number));
}

#[test]
fn more_partitions_are_shared_out_anew() {
    let mut table = Table::new();
    table.sit("a", 1, false);
    assert_eq!(table.poll("a", 1), Told::Take(partitions(0..4)));
    table.group.topic_changed("another", &four);
    assert_eq!(table.poll("a", 1), Told::Work);
    table.group.topic_changed("t", &|_| 6);
    assert_eq!(table.turn("a", 1, &|_| 6), Told::LetGo(partitions(0..4)));
    assert_eq!(table.turn("a", 1, &|_| 6), Told::Take(partitions(0..6)));
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
                if table.poll(&name.to_string(), *ticket) == Told::Expelled {
                    next += 1;
                    *ticket = next;
                    table.sit(&name.to_string(), next, false);
                }
            }
        }
        prop_assert_eq!(owners(&table).len(), if tickets.is_empty() { 0 } else { 4 });
    }
}
