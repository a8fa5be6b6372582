//! librdkafka's errors, sorted by what they demand of the caller.
//!
//! Every error of a transactional call carries flags; `rdkafka.h` ("Transactional producer API") gives the order in
//! which they are to be asked: abort, then retry, then fatal, and none of them means that the call was wrong. What this
//! module does not know is a fault of ours ([`Demand::Replace`] for a producer, [`Error::Bug`] elsewhere), never
//! something to try again in silence.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::broker::{Cause, Error};

/// What an error of a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// The same call again: it was not done, or goes on where it stopped.
    Retry,
    /// The open transaction is to be aborted; the producer lives.
    Abort,
    /// The client is dead: a new one is needed. Also for errors without any flag.
    Replace,
}

/// An error of librdkafka with what it demands.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{call}: {text} ({code:?})")]
pub(super) struct Fault {
    /// Which call.
    pub(super) call: &'static str,
    /// Kafka's, or librdkafka's own, code.
    pub(super) code: Code,
    /// What to do.
    pub(super) demand: Demand,
    /// In librdkafka's words.
    pub(super) text: String,
}

impl Fault {
    /// Sorts an error of the transactional API, where flags decide.
    pub(super) fn of_transaction(call: &'static str, error: &KafkaError) -> Self {
        let KafkaError::Transaction(inner) = error else {
            return Self::of(call, error);
        };
        let demand = if inner.txn_requires_abort() {
            Demand::Abort
        } else if inner.is_retriable() {
            Demand::Retry
        } else {
            Demand::Replace
        };
        Self { call, code: inner.code(), demand, text: inner.string() }
    }

    /// Sorts any other error, where only the code tells.
    pub(super) fn of(call: &'static str, error: &KafkaError) -> Self {
        let code = match error {
            // The crate keeps this one's code to itself.
            KafkaError::AdminOp(code) => *code,
            other => other.rdkafka_error_code().unwrap_or(Code::Unknown),
        };
        let demand = if is_away(code) { Demand::Retry } else { Demand::Replace };
        Self { call, code, demand, text: error.to_string() }
    }

    /// As an error of the seam.
    pub(super) fn into_error(self, endpoint: &str) -> Error {
        match self.code {
            code if is_away(code) => Error::Away { endpoint: endpoint.to_owned(), cause: Box::new(self) },
            code if is_unknown(code) => Error::NoSuchTopic { topic: self.to_string() },
            Code::TopicAuthorizationFailed => denied("an operation", "a topic", &self),
            Code::GroupAuthorizationFailed => denied("Read", "the consumer group", &self),
            Code::ClusterAuthorizationFailed => denied("an operation", "the cluster", &self),
            Code::TransactionalIdAuthorizationFailed => denied("Write", "the transactional id", &self),
            Code::UnsupportedVersion | Code::UnsupportedFeature => {
                Error::Unfit { name: endpoint.to_owned(), reason: self.to_string() }
            }
            _ => Error::Bug { what: self.call, cause: Box::new(self) },
        }
    }

    /// As the cause of another error.
    pub(super) fn boxed(self) -> Cause {
        Box::new(self)
    }
}

fn denied(operation: &'static str, resource: &str, fault: &Fault) -> Error {
    Error::Denied { operation, resource: format!("{resource} ({fault})") }
}

/// The broker, or the one that leads or coordinates, cannot be talked to right now.
pub(super) fn is_away(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::DestroyBroker
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::WaitingForCoordinator
            | Code::WaitCache
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::Retry
            | Code::Authentication
            | Code::SSL
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::NotController
            | Code::ConcurrentTransactions
            | Code::UnstableOffsetCommit
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::KafkaStorageError
    )
}

/// A topic or partition is not there, or the broker has not learnt of it yet.
pub(super) fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
}

/// The group has moved on without this member.
pub(super) fn is_stale(code: Code) -> bool {
    matches!(
        code,
        Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::RebalanceInProgress
            | Code::AssignmentLost
    )
}

/// The broker will never take this very record, whatever else is sent with it.
pub(super) fn is_refused(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::MessageBatchTooLarge
            | Code::InvalidMessage
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::PolicyViolation
            | Code::InvalidTopic
            | Code::UnknownPartition
    )
}

/// Another producer has the transactional id, or the broker gave this one up.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_both_a_refusal_and_a_reason_to_wait() {
        for code in [Code::MessageSizeTooLarge, Code::InvalidTimestamp, Code::InvalidRecord] {
            assert!(is_refused(code) && !is_away(code) && !is_stale(code), "{code:?}");
        }
    }

    #[test]
    fn an_error_without_flags_asks_for_a_new_client() {
        let fault = Fault::of_transaction("commit", &KafkaError::Global(Code::State));
        assert_eq!(fault.demand, Demand::Replace);
    }

    #[test]
    fn a_broker_that_is_too_slow_to_change_a_topic_is_away_and_no_bug() {
        let fault = Fault::of("changing topics", &KafkaError::AdminOp(Code::OperationTimedOut));
        assert!(matches!(fault.into_error("kafka:9092"), Error::Away { .. }));
    }

    #[test]
    fn an_error_that_is_not_known_is_a_bug_and_not_retried() {
        let fault = Fault::of("anything", &KafkaError::Global(Code::InvalidSessionTimeout));
        assert!(matches!(fault.into_error("kafka:9092"), Error::Bug { .. }));
    }
}
