//! Every world is walked to its end; and without any one of the guards it goes wrong.

#![allow(clippy::print_stdout, reason = "the numbers are of interest")]

mod holds;
mod teeth;
mod ticks;
mod worlds;
