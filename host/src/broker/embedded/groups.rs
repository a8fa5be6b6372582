//! All consumer groups, under one lock: members poll and the writer asks whether they may write.
//!
//! Groups live in memory alone, for they are members of this process; their positions are in the file. The lock is held for
//! moments, never while the file is touched. Inside of it the catalog may be read; never the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use super::bell::Bell;
use super::catalog::Catalog;
use super::group::{Given, Group, Sitting, Standing, Turn};
use crate::broker::Member;
use crate::event::Partition;
use crate::sync::lock;

/// The groups that have members.
pub(super) struct Groups {
    catalog: Arc<RwLock<Catalog>>,
    groups: Mutex<BTreeMap<String, Group>>,
    tickets: AtomicU64,
}

impl Groups {
    pub(super) fn new(catalog: Arc<RwLock<Catalog>>) -> Self {
        Self { catalog, groups: Mutex::default(), tickets: AtomicU64::new(1) }
    }

    /// A number that was never given out before.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    fn with<T>(&self, group: &str, work: impl FnOnce(&mut Group, &dyn Fn(&str) -> i32) -> T) -> T {
        let mut groups = lock(&self.groups);
        let catalog = &self.catalog;
        let counts = |topic: &str| catalog.read().unwrap_or_else(PoisonError::into_inner).partitions(topic);
        let of = groups.entry(group.to_owned()).or_default();
        let worked = work(of, &counts);
        if of.is_empty() {
            groups.remove(group);
        }
        worked
    }

    /// Takes a seat; gives the ticket that goes with it.
    pub(super) fn sit(&self, member: &Member, bell: &Arc<Bell>) -> u64 {
        let ticket = self.ticket();
        let sitting = Sitting {
            name: member.name.clone(),
            ticket,
            is_stable: member.stable,
            topics: member.topics.keys().cloned().collect(),
            silence_max: member.poll_interval_max,
            bell: Arc::clone(bell),
        };
        self.with(&member.group, |group, counts| {
            let now = Instant::now();
            group.expire(now, counts);
            group.sit(sitting, now, counts);
        });
        ticket
    }

    /// Leaves a seat.
    pub(super) fn rise(&self, member: &Member, ticket: u64) {
        self.with(&member.group, |group, counts| group.rise(&member.name, ticket, Instant::now(), counts));
    }

    /// A poll begins.
    pub(super) fn begin_poll(&self, member: &Member, ticket: u64) {
        self.with(&member.group, |group, _| group.begin_poll(&member.name, ticket));
    }

    /// A poll is over.
    pub(super) fn end_poll(&self, member: &Member, ticket: u64) {
        self.with(&member.group, |group, _| group.end_poll(&member.name, ticket, Instant::now()));
    }

    /// What a polling member is to do, and when to ask again if nothing happens.
    pub(super) fn turn(&self, member: &Member, ticket: u64) -> (Turn, Option<Instant>) {
        self.with(&member.group, |group, counts| {
            group.expire(Instant::now(), counts);
            (group.turn(&member.name, ticket, counts), group.deadline())
        })
    }

    /// See [`Group::taken`].
    pub(super) fn taken(&self, member: &Member, ticket: u64, given: &Given) -> bool {
        self.with(&member.group, |group, _| group.taken(&member.name, ticket, given.number))
    }

    /// See [`Group::taking`].
    pub(super) fn taking(&self, group: &str, name: &str, ticket: u64, number: u64) -> Standing {
        self.with(group, |group, _| group.taking(name, ticket, number))
    }

    /// Whether a member may write for these partitions now.
    pub(super) fn standing<'a>(
        &self,
        group: &str,
        name: &str,
        ticket: u64,
        partitions: impl Iterator<Item = &'a Partition>,
    ) -> Standing {
        self.with(group, |group, _| group.standing(name, ticket, partitions))
    }

    /// Wakes whoever owns one of these.
    pub(super) fn ring(&self, written: &BTreeSet<Partition>) {
        lock(&self.groups).values().for_each(|group| group.ring(written));
    }

    /// A topic was made, or has more partitions.
    pub(super) fn topic_changed(&self, topic: &str) {
        let mut groups = lock(&self.groups);
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        for group in groups.values_mut() {
            group.topic_changed(topic, &|topic| catalog.partitions(topic));
        }
    }
}
