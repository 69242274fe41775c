//! Every world is walked to its end; and without any one of the guards it goes wrong.

#![allow(clippy::print_stdout, reason = "the numbers are of interest")]

mod gates;
mod holds;
mod keys;
mod teeth;
mod ticks;
mod worlds;
