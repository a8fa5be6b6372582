//! The carrier's name for a parcel.
//!
//! There is no carrier yet, so the name is made up here: of the order's id alone, so that a parcel has one name
//! however often it is asked for.

use uuid::Uuid;

/// The namespace of references. If it changes, parcels get other names.
const NAMESPACE: Uuid = Uuid::from_u128(0x2d5b_37c1_8f0a_4c6e_b1d4_90e7_5a3c_62f8);

/// Crockford's base 32: no I, L, O or U, so that it can be read out on the telephone.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// `PPE-` and the 26 digits of a UUIDv5 of the order's id.
pub(crate) fn reference(order_id: &str) -> String {
    let bits = Uuid::new_v5(&NAMESPACE, order_id.as_bytes()).as_u128();
    let mut reference = String::from("PPE-");
    for shift in (0..26).rev() {
        let digit = DIGITS.get((bits >> (5 * shift)) as usize & 31).copied().unwrap_or_default();
        reference.push(char::from(digit));
    }
    reference
}
