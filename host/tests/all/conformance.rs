//! What every broker promises, as cases against [`Broker`] alone.
//!
//! A case is a function of a [`World`]: an app of its own on a broker that others use too. [`suite!`] makes a test of
//! each case for one implementation; an implementation brings a [`Fixture`]. A new case is a function in one of the
//! parts and its name in the list below: without the name the compiler calls it dead.
//!
//! Nothing here sleeps and nothing waits without end: see [`eventually`](crate::kafka::eventually).

mod commits;
mod events;
mod joined;
mod members;
mod on_embedded;
mod on_kafka;
mod partitioner;
mod positions;
mod refusals;
mod replays;
mod topics;
mod world;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::Broker;
use fnhost::event::{Event, Offset, Partition, Record};

pub(crate) use joined::{Joined, until};
pub(crate) use world::{World, record, record_to, values};

/// What an implementation brings to be put to the test, beside itself.
pub(crate) trait Fixture {
    /// A process of `app`, which has the broker to itself.
    fn process(&self, app: &str) -> Arc<dyn Broker>;

    /// All that readers of a topic may see now, found out without the implementation where there is a way.
    fn visible(&self, topic: &str) -> Vec<Event>;

    /// Writes records in a transaction and leaves it open. `None` where transactions cannot be seen open: then a case that
    /// needs one says that it does not apply.
    fn open(&self, records: &[Record]) -> Option<Box<dyn Open>>;

    /// Deletes the records before `offset`, as retention does. `false` where nothing is ever deleted.
    fn delete_before(&self, partition: &Partition, offset: Offset) -> bool;
}

/// A transaction that is open.
pub(crate) trait Open {
    fn commit(self: Box<Self>);
    fn abort(self: Box<Self>);
}

/// How long one poll waits. Short, because members of one group take turns on one thread.
const TURN: Duration = Duration::from_millis(50);

/// How many turns in a row bring nothing before nothing is believed to come.
const QUIET_TURNS: usize = 20;

macro_rules! cases {
    ($implementation:ident, $fixture:path: $($part:ident { $($case:ident,)+ })+) => {
        mod $implementation {
            $(mod $part {
                $(#[test]
                fn $case() {
                    let Some(fixture) = $fixture() else { return };
                    crate::conformance::$part::$case(&crate::conformance::World::new(Box::new(fixture)));
                })+
            })+
        }
    };
}

/// Every case, as tests of an implementation whose fixture a function makes; `None` leaves them out, said loudly.
macro_rules! suite {
    ($implementation:ident, $fixture:path) => {
        cases! { $implementation, $fixture:
            events {
                keys_values_and_headers_come_back_as_they_were,
                null_is_not_empty,
                headers_keep_their_order_their_duplicates_and_their_nulls,
                large_values_come_back,
                events_of_a_partition_come_in_order,
                keys_go_to_the_partition_that_java_picks,
                a_named_partition_is_where_the_record_goes,
                polls_are_bounded_in_events,
                polls_are_bounded_in_bytes,
                an_assigned_partition_gives_nothing_until_it_is_resumed,
                a_paused_partition_gives_nothing_and_goes_on_where_it_was,
                what_is_not_owned_can_be_neither_paused_nor_resumed,
                an_open_transaction_is_invisible_and_seen_when_it_commits,
                an_aborted_transaction_is_never_seen,
            }
            members {
                one_member_gets_every_partition_of_every_topic,
                two_groups_get_every_event_each,
                members_share_partitions_and_one_number_lies_on_one_member,
                a_member_that_leaves_hands_over,
                a_member_that_is_gone_hands_over,
                a_member_that_does_not_poll_loses_its_partitions_and_cannot_commit,
                a_stable_member_that_restarts_has_its_partitions_back_and_disturbs_nobody,
                a_second_process_with_a_stable_name_ends_the_first_one,
                a_member_that_was_fenced_cannot_commit,
                every_event_is_committed_once_while_members_come_and_go,
            }
            commits {
                outputs_and_positions_become_visible_together,
                records_that_are_not_committed_are_nowhere,
                a_transaction_without_positions_cannot_be_built,
                a_commit_says_where_its_records_end,
                records_of_a_transaction_keep_their_order,
                a_transaction_may_have_positions_alone,
                a_transaction_holds_many_records,
                commits_follow_each_other,
                a_member_that_joined_late_does_not_get_what_was_committed,
            }
            positions {
                positions_and_notes_come_back_after_a_restart,
                a_group_without_a_position_is_told_so,
                a_position_moves_for_the_partitions_that_are_named,
                a_position_may_stay_where_it_is_and_take_a_note,
                what_was_not_committed_is_handled_again,
                earliest_begins_at_the_oldest_record,
                latest_begins_after_the_newest_record_of_its_assignment,
                each_topic_begins_where_it_is_told_to,
                records_that_were_deleted_unread_are_an_error,
                a_position_beyond_the_end_is_an_error,
            }
            refusals {
                a_record_that_is_too_large_is_named_and_the_rest_commits,
                a_null_key_on_a_compacted_topic_is_named_and_the_rest_commits,
                all_refused_records_are_found,
                a_refused_record_leaves_the_position_where_it_was,
                a_member_goes_on_after_a_refusal,
            }
            replays {
                a_replay_has_every_record_from_the_beginning,
                a_replay_begins_in_the_middle,
                a_replay_of_nothing_is_done_at_once,
                a_replay_beyond_the_end_says_that_the_log_shrank,
                a_replay_of_a_topic_that_is_not_there_says_so,
                a_replay_ends_where_the_log_ended_when_it_was_asked_for,
                a_replay_waits_for_an_open_transaction_and_has_it_when_it_commits,
                a_replay_waits_for_an_open_transaction_and_leaves_it_out_when_it_aborts,
                a_replay_never_has_aborted_records,
                a_replay_ends_behind_a_marker,
                replays_run_beside_each_other_and_beside_a_member,
            }
            writers {
                an_exclusive_writer_writes_and_says_where_its_records_end,
                a_second_exclusive_writer_fences_the_first,
                exclusive_writers_of_other_names_do_not_fence,
                an_exclusive_write_is_all_or_nothing,
                a_publisher_says_where_the_record_lies,
                a_publisher_takes_many_records_at_once,
                a_publisher_refuses_what_is_too_large,
                a_publisher_refuses_a_null_key_on_a_compacted_topic_and_stores_the_others,
                a_record_for_a_topic_that_is_not_there_is_known_not_to_be_stored,
                a_publisher_hears_its_broker,
            }
            topics {
                a_topic_is_created_as_asked,
                a_topic_that_is_not_there_is_left_out,
                a_topic_that_is_there_cannot_be_created,
                a_topic_grows_and_does_not_shrink,
                configuring_a_topic_leaves_other_keys_alone,
                an_unknown_key_is_refused,
                changes_stop_at_the_first_that_fails,
                progress_counts_what_lies_before_the_group,
                progress_is_zero_when_all_is_read,
                progress_is_zero_when_all_of_a_transaction_is_read,
                progress_of_an_unknown_group_counts_everything,
                a_broker_that_answers_says_what_it_is,
            }
        }
    };
}

suite! { kafka, crate::conformance::on_kafka::fixture }
suite! { embedded, crate::conformance::on_embedded::fixture }
