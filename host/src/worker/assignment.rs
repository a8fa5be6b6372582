//! What a worker owns: partitions come, their state is restored, they are resumed, and they go.

use std::collections::BTreeMap;
use std::time::Duration;

use super::restore::CACHE_AGE_MAX;
use super::{Ended, Stores, Worker, sort};
use crate::admin::status::Phase;
use crate::broker::Position;
use crate::deploy;
use crate::event::{Offset, Partition};

impl Worker {
    pub(super) fn take(&mut self, positions: BTreeMap<Partition, Position>) {
        let now = self.parts.clock.now();
        if self.restore.is_empty() {
            self.restore_began = now;
        }
        self.drop_aged(now);
        for (partition, position) in positions {
            for (function, changelog) in self.parts.plan.states(&partition) {
                if drop_ahead(&mut self.stores, (function, partition.clone()), position.next) {
                    tracing::warn!(%partition, "the group is behind what was committed here; restoring all of its state");
                    self.meters.hold(&self.stores);
                }
                self.restore.add(partition.clone(), function, changelog);
            }
            let deployment = deploy::noted(&position.note);
            self.parts.deploy.see(deployment);
            self.unrestored.insert(partition.clone(), deployment);
            self.settle.add(partition.clone());
            self.owned.insert(partition, position.next);
        }
        self.meters.own(self.owned.keys());
        tracing::info!(group = self.parts.plan.group, partitions = self.owned.len(), "assigned, restoring state");
        // With nothing to own there is nothing to restore: it stands by.
        self.parts.status.set_phase(if self.owned.is_empty() { Phase::Running } else { Phase::Restoring });
        self.parts.status.set_partitions(self.owned.keys().cloned());
    }

    /// Drops the stores that have been away for too long to be caches.
    pub(super) fn drop_aged(&mut self, now: Duration) {
        let (owned, left_at) = (&self.owned, &mut self.left_at);
        left_at.retain(|partition, left| owned.contains_key(partition) || now.saturating_sub(*left) <= CACHE_AGE_MAX);
        let before = self.stores.len();
        self.stores.retain(|(_, partition), _| owned.contains_key(partition) || left_at.contains_key(partition));
        if self.stores.len() < before {
            self.meters.hold(&self.stores);
        }
    }

    pub(super) fn forget(&mut self, partitions: &[Partition], lost: bool) {
        let now = self.parts.clock.now();
        for partition in partitions {
            // A store that was not brought up to date stays as old as it was.
            let was_restored = !self.unrestored.contains_key(partition);
            if was_restored && self.owned.contains_key(partition) {
                self.left_at.insert(partition.clone(), now);
            }
            self.owned.remove(partition);
            self.unrestored.remove(partition);
            self.stopped.remove(partition);
            self.settle.remove(partition);
        }
        self.meters.own(self.owned.keys());
        self.restore.forget(partitions);
        self.waiting.retain(|event| !partitions.contains(&event.partition));
        if self.owned.is_empty() {
            self.held = false;
            self.parts.status.set_phase(Phase::Joining);
        }
        tracing::info!(group = self.parts.plan.group, revoked = partitions.len(), lost, "partitions revoked");
        self.parts.status.set_partitions(self.owned.keys().cloned());
        self.parts.status.set_stopped(self.stopped.clone());
    }

    /// Restores a little, and resumes what is restored.
    pub(super) fn restore_some(&mut self) -> Result<(), Ended> {
        if self.unrestored.is_empty() {
            return Ok(());
        }
        self.restore.advance(self.parts.broker.as_ref(), &mut self.stores).map_err(sort)?;
        if !self.restore.is_empty() {
            return Ok(());
        }
        // No partition goes back a version: those whose owners were further wait until this host is, too.
        let number = self.parts.deploy.active().number;
        let (ready, awaiting): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.unrestored).into_iter().partition(|(_, deployment)| *deployment <= number);
        self.unrestored = awaiting;
        let awaited = self.unrestored.values().max().copied();
        self.parts.status.set_phase(awaited.map_or(Phase::Running, |deployment| Phase::Awaiting { deployment }));
        if ready.is_empty() {
            return Ok(());
        }
        let ready: Vec<Partition> = ready.into_keys().collect();
        if !self.held {
            self.membership.resume(&ready)?;
        }
        let took = self.parts.clock.now().saturating_sub(self.restore_began);
        let records = std::mem::take(&mut self.restore.records);
        self.parts.metrics.restored(records, took);
        self.meters.hold(&self.stores);
        tracing::info!(
            group = self.parts.plan.group,
            partitions = ready.len(),
            records,
            ?took,
            "state restored, running"
        );
        Ok(())
    }
}

/// Drops a store that was kept from before and holds more than the group knows of. Its changelog has the truth.
fn drop_ahead(stores: &mut Stores, of: (usize, Partition), position: Option<Offset>) -> bool {
    let is_ahead = stores.get(&of).is_some_and(|store| store.is_ahead_of(position));
    is_ahead && stores.remove(&of).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::worker::state::Store;

    #[test]
    fn a_store_that_is_ahead_of_its_groups_position_is_restored_anew_and_any_other_is_kept() {
        let of = (0, Partition::new("in", 0));
        let kept_at = |position: Option<Offset>| {
            let mut store = Store::default();
            store.apply(Some(40), 7);
            let mut stores = Stores::from([(of.clone(), Arc::new(store))]);
            assert_eq!(drop_ahead(&mut stores, of.clone(), position), stores.is_empty());
            !stores.is_empty()
        };
        // Events 6 and after are to be handled again, and 6 has left its changes.
        assert!(!kept_at(Some(6)));
        assert!(!kept_at(None), "nor is anything known of a group without a position");
        assert!(kept_at(Some(7)) && kept_at(Some(9)));
        // What was only restored is what the changelog says.
        let mut stores = Stores::from([(of.clone(), Arc::default())]);
        assert!(!drop_ahead(&mut stores, of, None));
    }
}
