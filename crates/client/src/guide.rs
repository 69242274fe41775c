//! The guide for Rust programs, whose code is compiled with the documentation tests.

#[doc = include_str!("../../../docs/rust.md")]
struct Guide;
