//! The quantity of an order line.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// How many of a product: any whole number of 64 bits. What can be filled is inventory's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub i64);

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(Whole)
    }
}

struct Whole;

/// What is expected of a number that is whole, but too large.
const HOLDABLE: &str = "a quantity of at most 64 bits";

/// Up to here every whole number is a double of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl Visitor<'_> for Whole {
    type Value = Quantity;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Quantity, E> {
        Ok(Quantity(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Quantity, E> {
        i64::try_from(value).map(Quantity).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &HOLDABLE))
    }

    /// `2.0` and `2e0` are whole numbers, to JSON Schema as to us.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Quantity, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_type(Unexpected::Float(value), &self));
        }
        if value.abs() > EXACT_MAX {
            return Err(E::invalid_value(Unexpected::Float(value), &HOLDABLE));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within what a double holds exactly")]
        Ok(Quantity(value as i64))
    }
}
