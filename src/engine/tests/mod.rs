//! Runs, played against tools that answer as told.

mod arrival;
mod ask;
mod board;
mod bounds;
mod budget;
mod cache;
mod crash;
mod doubt;
mod expect;
mod flow;
mod golden;
mod graph;
mod join;
mod laws;
mod laws_plans;
mod play;
mod repeat;
mod rescue;
mod results;
mod retrace;
mod retry;
mod time;
mod undo;
mod wait;
