//! The handler tutorial, whose code is compiled and run with the documentation tests.

#[doc = include_str!("../../../docs/handler-tutorial.md")]
struct Tutorial;
