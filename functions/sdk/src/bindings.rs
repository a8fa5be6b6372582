//! The contract as Rust, generated from `wit/`: for a function that wants records as bytes, without CloudEvents.
//!
//! Such a function implements [`exports::fnhost::function::handler::Guest`] and exports it with
//! `fnhost_sdk::bindings::export!(Component with_types_in fnhost_sdk::bindings)`.

#![allow(unsafe_code, reason = "generated: the component ABI passes pointers and lengths")]
#![allow(missing_docs, reason = "generated: what the contract documents is documented, its glue is not")]
#![allow(clippy::indexing_slicing, reason = "generated")]

wit_bindgen::generate!({
    path: "wit",
    world: "function",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "fnhost_sdk::bindings",
    additional_derives: [PartialEq, Eq],
});
