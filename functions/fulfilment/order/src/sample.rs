//! Samples of KPIs: what measure writes and kpi reads.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the shop wants to know of every minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kpi {
    /// How many events inventory failed.
    InventoryErrors,
    /// How many orders were shipped, and how long they took.
    OrderToShipped,
}

impl Kpi {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::InventoryErrors, Self::OrderToShipped];

    /// The KPI as it is written: subject and key of its events, and part of state keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InventoryErrors => "inventory-errors",
            Self::OrderToShipped => "order-to-shipped",
        }
    }
}

impl fmt::Display for Kpi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What one event adds to a KPI: the data of a sample. The event's `time` says to which minute.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(expecting = "the data of a sample")]
pub struct Sample<'a> {
    /// What it is a sample of.
    pub kpi: Kpi,
    /// The order that it is about, for people who look for it. Absent when the event that failed was about none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Cow<'a, str>>,
    /// How long it took, in milliseconds: there when something is timed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kpi_is_written_as_it_is_called() {
        for kpi in Kpi::ALL {
            assert_eq!(serde_json::to_value(kpi).unwrap(), kpi.as_str());
        }
    }
}
