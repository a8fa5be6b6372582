//! stub
/// m
pub struct Mismatch { /// p
 pub pointer: String, /// d
 pub detail: String }
/// s
pub struct Schema;
impl Schema { /// c
pub fn check_bytes(&self, _b: &[u8]) -> Result<(), Vec<Mismatch>> { Ok(()) } }
