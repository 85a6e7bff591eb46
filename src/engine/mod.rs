//! A run as a pure state machine: `Run::apply(Event) -> Vec<Command>`.
//!
//! No clock, no input or output, no task, no randomness: time and seeds arrive inside events. Whatever drives a run appends
//! the event to its journal first and carries out the commands afterwards.
//!
//! Inside, a run is a tree of frames (`frame`), each of one kind: `block`, `each`, `step` (with `verb` and `rescue`),
//! `branch`, `call`, and when the run has failed `settling` and `aftermath`. An event becomes a signal to one frame; a `turn` carries signals from frame to frame until none is left.

mod aftermath;
mod arrival;
mod ask;
mod block;
mod board;
mod bounds;
mod branch;
mod budget;
mod cache;
pub mod call;
mod chance;
mod closing;
pub mod command;
mod delegation;
mod doubt;
mod each;
mod ending;
pub mod event;
mod expectation;
mod failure;
mod frame;
mod place;
mod repeat;
mod rescue;
pub mod retrace;
pub mod run;
mod scope;
mod settling;
mod step;
mod turn;
mod verb;
pub mod view;
mod wait;

#[cfg(test)]
mod tests;
